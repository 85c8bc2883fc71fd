/* Words and properties come from the one table in sim_fault.h. Rejected: several faults of one PLC at once; which of
 * them a request meets would depend on the order in which they were given. */
#include "sim_fault.h"

#include <string.h>

static const struct {
    const char *word;
    enum sim_fault_arg_e arg;
    bool whole;
} faults[] = {
#define X(name, word, arg, whole) {word, arg, whole},
    SIM_FAULT_TABLE(X)
#undef X
};

const char *sim_fault_word(enum sim_fault_e kind)
{
    return faults[kind].word;
}

enum sim_fault_arg_e sim_fault_arg(enum sim_fault_e kind)
{
    return faults[kind].arg;
}

bool sim_fault_whole(enum sim_fault_e kind)
{
    return faults[kind].whole;
}

enum err_e sim_fault_parse(const char *word, enum sim_fault_e *kind)
{
    for (enum sim_fault_e i = SIM_FAULT_NONE + 1; i < SIM_FAULT_COUNT; i++) {
        if (strcmp(faults[i].word, word) == 0) {
            *kind = i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

struct sim_fault sim_fault_take(struct sim_fault *fault, uint8_t command)
{
    struct sim_fault none = {.kind = SIM_FAULT_NONE};
    if (faults[fault->kind].whole || (fault->command != SIM_ANY_COMMAND && fault->command != command))
        return none;
    struct sim_fault hit = *fault;
    if (fault->left > 0 && --fault->left == 0)
        *fault = none;
    return hit;
}
