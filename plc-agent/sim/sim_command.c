/* A line is copied, cut into at most WORDS_MAX words, and taken word by word; each verb has one handler in one
 * table. The first problem found is reported with the word that caused it. Rejected: sscanf (takes "12abc" for 12,
 * signs for numbers) and JSON (people type these lines).
 */
#include "sim_command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "must.h"

#define WORDS_MAX 16

struct words {
    char memory[SIM_LINE_MAX + 1];
    const char *word[WORDS_MAX];
    size_t count, next;
    char *problem; /* SIM_PROBLEM_MAX bytes */
};

__attribute__((format(printf, 2, 3))) static enum err_e problem(struct words *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(words->problem, SIM_PROBLEM_MAX, format, args);
    va_end(args);
    return ERR_MALFORMED;
}

/* --- words --------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum err_e cut(struct words *words, const char *line, size_t len)
{
    if (len > SIM_LINE_MAX)
        return problem(words, "line longer than %d bytes", SIM_LINE_MAX);
    for (size_t i = 0; i < len; i++)
        if (!is_blank(line[i]) && (line[i] < 0x21 || line[i] > 0x7e))
            return problem(words, "byte 0x%02x at %zu is not printable ASCII", (unsigned char)line[i], i);
    memcpy(words->memory, line, len);
    words->memory[len] = '\0';
    char *rest = words->memory, *word;
    while ((word = strsep(&rest, " \t")) != NULL) {
        if (*word == '\0')
            continue;
        if (words->count == WORDS_MAX)
            return problem(words, "more than %d words", WORDS_MAX);
        words->word[words->count++] = word;
    }
    return words->count > 0 ? ERR_OK : problem(words, "empty line");
}

static const char *peek(const struct words *words)
{
    return words->next < words->count ? words->word[words->next] : NULL;
}

/* Takes the next word, or reports that `expected` is missing. */
static const char *take(struct words *words, const char *expected)
{
    const char *word = peek(words);
    if (word == NULL)
        problem(words, "%s expected at the end", expected);
    else
        words->next++;
    return word;
}

static bool take_if(struct words *words, const char *keyword)
{
    const char *word = peek(words);
    if (word == NULL || strcmp(word, keyword) != 0)
        return false;
    words->next++;
    return true;
}

bool sim_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9'; i++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
            return false;
    if (i == 0 || text[i] != '\0' || n < min || n > max)
        return false;
    *value = n;
    return true;
}

static enum err_e take_number(struct words *words, const char *what, uint32_t min, uint32_t max,
                              uint32_t *value)
{
    const char *word = take(words, what);
    uint64_t n;
    if (word == NULL)
        return ERR_MALFORMED;
    if (!sim_number_parse(word, min, max, &n))
        return problem(words, "%s: \"%.40s\" is not a number from %" PRIu32 " to %" PRIu32, what, word, min,
                       max);
    *value = (uint32_t)n;
    return ERR_OK;
}

/* [command C] */
static enum err_e take_filter(struct words *words, int *code)
{
    *code = SIM_ANY_COMMAND;
    if (!take_if(words, "command"))
        return ERR_OK;
    uint32_t number;
    if (take_number(words, "command code", 0, 255, &number) != ERR_OK)
        return ERR_MALFORMED;
    *code = (int)number;
    return ERR_OK;
}

/* --- verbs --------------------------------------------------------------------------------------------------------- */

static enum err_e parse_nothing(struct words *words, struct sim_command *command)
{
    (void)words;
    (void)command;
    return ERR_OK;
}

static enum err_e parse_on_off(struct words *words, struct sim_command *command)
{
    const char *word = take(words, "on or off");
    if (word == NULL)
        return ERR_MALFORMED;
    command->on = strcmp(word, "on") == 0;
    return command->on || strcmp(word, "off") == 0 ? ERR_OK
                                                   : problem(words, "\"%.40s\" is not on or off", word);
}

static enum err_e parse_set(struct words *words, struct sim_command *command)
{
    const char *word = take(words, "position or a condition");
    if (word == NULL)
        return ERR_MALFORMED;
    if (strcmp(word, "position") == 0) {
        command->set_position = true;
        return take_number(words, "position", 0, SIM_POSITIONS_MAX - 1, &command->number);
    }
    for (enum sim_condition_e c = 0; c < SIM_CONDITION_COUNT; c++) {
        if (strcmp(word, sim_condition_word(c)) == 0) {
            command->condition = c;
            return parse_on_off(words, command);
        }
    }
    return problem(words, "\"%.40s\" is neither position nor a condition", word);
}

static enum err_e parse_pace(struct words *words, struct sim_command *command)
{
    command->by_hand = take_if(words, "manual");
    return command->by_hand
               ? ERR_OK
               : take_number(words, "ms per position, or manual", 0, SIM_PACE_MAX_MS, &command->number);
}

static enum err_e parse_step(struct words *words, struct sim_command *command)
{
    command->number = 1;
    return peek(words) == NULL ? ERR_OK : take_number(words, "steps", 1, SIM_POSITIONS_MAX, &command->number);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static enum err_e take_hex(struct words *words, struct sim_fault *fault)
{
    const char *word = take(words, "bytes in hex");
    if (word == NULL)
        return ERR_MALFORMED;
    size_t len = strlen(word);
    if (len % 2 != 0 || len > 2 * SIM_GARBAGE_MAX)
        return problem(words, "\"%.40s\" is not 1 to %d bytes in hex", word, SIM_GARBAGE_MAX);
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_digit(word[i]), low = hex_digit(word[i + 1]);
        if (high < 0 || low < 0)
            return problem(words, "\"%.40s\" is not 1 to %d bytes in hex", word, SIM_GARBAGE_MAX);
        fault->garbage[i / 2] = (uint8_t)(high << 4 | low);
    }
    fault->garbage_len = (uint8_t)(len / 2);
    return ERR_OK;
}

static enum err_e take_fault_arg(struct words *words, struct sim_fault *fault)
{
    switch (sim_fault_arg(fault->kind)) {
    case SIM_ARG_MS:
        return take_number(words, "milliseconds", 0, SIM_FAULT_MAX_MS, &fault->ms);
    case SIM_ARG_HEX:
        return take_hex(words, fault);
    default:
        return ERR_OK;
    }
}

static enum err_e parse_fault(struct words *words, struct sim_command *command)
{
    struct sim_fault *fault = &command->fault;
    const char *word = take(words, "a kind of fault");
    fault->command = SIM_ANY_COMMAND;
    if (word == NULL)
        return ERR_MALFORMED;
    if (sim_fault_parse(word, &fault->kind) != ERR_OK)
        return problem(words, "\"%.40s\" is no kind of fault", word);
    if (take_fault_arg(words, fault) != ERR_OK)
        return ERR_MALFORMED;
    if (sim_fault_whole(fault->kind))
        return ERR_OK; /* whatever follows is one word too many */
    fault->undone = take_if(words, "undone");
    if (take_filter(words, &fault->command) != ERR_OK)
        return ERR_MALFORMED;
    return take_if(words, "count") ? take_number(words, "count", 1, UINT32_MAX, &fault->left) : ERR_OK;
}

static enum err_e parse_hold(struct words *words, struct sim_command *command)
{
    return take_filter(words, &command->command_code);
}

static enum err_e take_wait_args(struct words *words, struct sim_command *command)
{
    uint32_t code;
    switch (command->wait) {
    case SIM_WAIT_POSITION:
        return take_number(words, "position", 0, SIM_POSITIONS_MAX - 1, &command->number);
    case SIM_WAIT_REQUESTS:
        if (take_number(words, "command code", 0, 255, &code) != ERR_OK)
            return ERR_MALFORMED;
        command->command_code = (int)code;
        return take_number(words, "requests", 0, UINT32_MAX, &command->number);
    default:
        return ERR_OK;
    }
}

static enum err_e parse_wait(struct words *words, struct sim_command *command)
{
    static const char *const waits[] = {
#define X(name, word) word,
        SIM_WAIT_TABLE(X)
#undef X
    };
    const char *word = take(words, "what to wait for");
    if (word == NULL)
        return ERR_MALFORMED;
    size_t i = 0;
    while (i < ARRAY_LEN(waits) && strcmp(waits[i], word) != 0)
        i++;
    if (i == ARRAY_LEN(waits))
        return problem(words, "\"%.40s\" is nothing to wait for", word);
    command->wait = (enum sim_wait_e)i;
    command->deadline_ms = SIM_WAIT_DEFAULT_MS;
    if (take_wait_args(words, command) != ERR_OK)
        return ERR_MALFORMED;
    return take_if(words, "deadline")
               ? take_number(words, "deadline", 0, SIM_WAIT_MAX_MS, &command->deadline_ms)
               : ERR_OK;
}

/* --- the table ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum err_e (*parse)(struct words *words, struct sim_command *command);
} verbs[] = {
#define X(name, word, parse) {word, parse},
    SIM_VERB_TABLE(X)
#undef X
};

static enum err_e take_id(struct words *words, struct sim_command *command)
{
    const char *word = take(words, "a machine's id");
    if (word == NULL)
        return ERR_MALFORMED;
    if (!machine_id_valid(word, strlen(word)))
        return problem(words, "\"%.40s\" is no machine id", word);
    snprintf(command->id, sizeof command->id, "%s", word);
    return ERR_OK;
}

static enum err_e parse_words(struct words *words, struct sim_command *command)
{
    const char *word = take(words, "a command");
    size_t verb = 0;
    while (verb < ARRAY_LEN(verbs) && strcmp(verbs[verb].word, word) != 0)
        verb++;
    if (verb == ARRAY_LEN(verbs))
        return problem(words, "\"%.40s\" is no command", word);
    command->verb = (enum sim_verb_e)verb;
    if (command->verb != SIM_VERB_LIST && take_id(words, command) != ERR_OK)
        return ERR_MALFORMED;
    if (verbs[verb].parse(words, command) != ERR_OK)
        return ERR_MALFORMED;
    if (peek(words) != NULL)
        return problem(words, "\"%.40s\" is one word too many", peek(words));
    return ERR_OK;
}

enum err_e sim_command_parse(const char *line, size_t len, struct sim_command *command,
                             char text[SIM_PROBLEM_MAX])
{
    struct words words = {.problem = text};
    memset(command, 0, sizeof *command);
    text[0] = '\0';
    enum err_e err = cut(&words, line, len);
    return err != ERR_OK ? err : parse_words(&words, command);
}
