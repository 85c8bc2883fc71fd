/* One handler per verb, in one table. Answers are key=value words, so that a shell and a test parse them alike.
 * Rejected: JSON answers, which a play in shell could not cut up. */
#include "sim_answer.h"

#include "must.h"
#include "sim_plc.h"

static void put(struct out *out, const char *key, uint64_t value)
{
    out_char(out, ' ');
    out_text(out, key);
    out_char(out, '=');
    out_u64(out, value);
}

static void put_text(struct out *out, const char *key, const char *value)
{
    out_char(out, ' ');
    out_text(out, key);
    out_char(out, '=');
    out_text(out, value);
}

static void ok(struct out *out)
{
    out_literal(out, "ok");
}

static void error(struct out *out, const char *text)
{
    out_literal(out, "error ");
    out_text(out, text);
}

/* --- looking ------------------------------------------------------------------------------------------------------- */

static void answer_list(struct sim_server *server, struct out *out)
{
    ok(out);
    for (size_t i = 0; i < sim_server_count(server); i++) {
        const struct sim_plc *plc = sim_server_at(server, i);
        put(out, plc->id, plc->port);
    }
}

static void put_hex_byte(struct out *out, const char *key, uint8_t byte)
{
    const char digits[] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15], '\0'};
    put_text(out, key, digits);
}

static void put_machine(struct out *out, const struct sim_machine *machine)
{
    put(out, "position", machine->position);
    put(out, "target", machine->target);
    put(out, "moving", machine->moving);
    put_text(out, "direction", machine->upward ? "up" : "down");
    put(out, "positions", machine->positions);
    if (machine->by_hand)
        put_text(out, "pace", "manual");
    else
        put(out, "pace", machine->pace_ns / NS_PER_MS);
    for (enum sim_condition_e c = 0; c < SIM_CONDITION_COUNT; c++)
        put(out, sim_condition_word(c), machine->conditions[c]);
}

static void answer_get(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    (void)command;
    ok(out);
    put_machine(out, &plc->machine);
    put_hex_byte(out, "status", sim_plc_status(plc));
    put_text(out, "profile", plc->profile->name);
    put(out, "port", plc->port);
    put(out, "listening", plc->listen_fd >= 0);
    put(out, "client", plc->conn.state != SIM_CONN_NONE);
    put(out, "held", plc->conn.state == SIM_CONN_HELD);
    put(out, "hold", plc->hold);
    put_text(out, "fault", sim_fault_word(plc->fault.kind));
    put(out, "left", plc->fault.left);
}

static void answer_counts(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    (void)command;
    const struct sim_counts *n = &plc->counts;
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(n->request); i++)
        total += n->request[i];
    ok(out);
    put(out, "requests", total);
    put(out, "connections", n->connections);
    put(out, "refused", n->refused);
    put(out, "rx_bytes", n->rx_bytes);
    put(out, "tx_bytes", n->tx_bytes);
    put(out, "replies", n->replies);
    put(out, "faults", n->faults);
    put(out, "held", n->held);
    put(out, "moves_started", n->moves_started);
    put(out, "moves_blocked", n->moves_blocked);
    put(out, "moves_nowhere", n->moves_nowhere);
    put(out, "log_failures", sim_log_failures(sim_server_log(plc->server)));
    for (size_t i = 0; i < ARRAY_LEN(n->request); i++) {
        if (n->request[i] == 0)
            continue;
        out_literal(out, " request.");
        out_u64(out, i);
        out_char(out, '=');
        out_u64(out, n->request[i]);
    }
}

/* --- changing ------------------------------------------------------------------------------------------------------ */

static void answer_set(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    if (command->set_position) {
        if (sim_machine_place(&plc->machine, command->number) != ERR_OK) {
            error(out, "no such position");
            return;
        }
    } else {
        sim_machine_set(&plc->machine, command->condition, command->on);
    }
    sim_plc_changed(plc);
    ok(out);
}

static void answer_pace(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    if (command->by_hand)
        sim_machine_pace_by_hand(&plc->machine);
    else
        sim_machine_pace(&plc->machine, command->number);
    sim_plc_changed(plc);
    ok(out);
}

/* One position at a time, so that nobody who waits for one misses it. */
static void answer_step(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    uint32_t moved = 0;
    while (moved < command->number && sim_machine_step(&plc->machine, 1) == 1) {
        moved++;
        sim_plc_changed(plc);
    }
    if (moved == 0) {
        error(out, "the machine is not moving");
        return;
    }
    ok(out);
    put(out, "moved", moved);
    sim_wait_state(plc, out);
}

static void answer_fault(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    sim_plc_fault(plc, &command->fault);
    ok(out);
}

static void answer_clear(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    (void)command;
    sim_plc_clear(plc);
    ok(out);
}

static void answer_hold(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    plc->hold = true;
    plc->hold_command = command->command_code;
    ok(out);
}

static void answer_release(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    (void)command;
    bool held = plc->conn.state == SIM_CONN_HELD;
    plc->hold = false;
    sim_conn_release(plc);
    ok(out);
    put(out, "held", held);
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

bool sim_wait_met(const struct sim_plc *plc, const struct sim_command *command)
{
    switch (command->wait) {
    case SIM_WAIT_POSITION:
        return plc->machine.position == command->number;
    case SIM_WAIT_IDLE:
        return !plc->machine.moving;
    case SIM_WAIT_MOVING:
        return plc->machine.moving;
    case SIM_WAIT_HELD:
        return plc->conn.state == SIM_CONN_HELD;
    case SIM_WAIT_CONNECTED:
        return plc->conn.state != SIM_CONN_NONE;
    case SIM_WAIT_DISCONNECTED:
        return plc->conn.state == SIM_CONN_NONE;
    case SIM_WAIT_REQUESTS:
        return plc->counts.request[command->command_code] >= command->number;
    default:
        MUST_NOT_REACH();
    }
}

void sim_wait_state(const struct sim_plc *plc, struct out *out)
{
    put(out, "position", plc->machine.position);
    put(out, "moving", plc->machine.moving);
}

void sim_wait_answer(const struct sim_plc *plc, struct out *out)
{
    ok(out);
    sim_wait_state(plc, out);
}

static void answer_wait(struct sim_plc *plc, const struct sim_command *command, struct out *out)
{
    if (sim_wait_met(plc, command))
        sim_wait_answer(plc, out);
    else
        error(out, "not so");
}

static void (*const answers[])(struct sim_plc *plc, const struct sim_command *command, struct out *out) = {
    [SIM_VERB_GET] = answer_get,     [SIM_VERB_COUNTS] = answer_counts, [SIM_VERB_SET] = answer_set,
    [SIM_VERB_PACE] = answer_pace,   [SIM_VERB_STEP] = answer_step,     [SIM_VERB_FAULT] = answer_fault,
    [SIM_VERB_CLEAR] = answer_clear, [SIM_VERB_HOLD] = answer_hold,     [SIM_VERB_RELEASE] = answer_release,
    [SIM_VERB_WAIT] = answer_wait,
};
_Static_assert(ARRAY_LEN(answers) == SIM_VERB_COUNT, "a handler for every verb");

void sim_answer(struct sim_server *server, const struct sim_command *command, struct out *out)
{
    if (command->verb == SIM_VERB_LIST) {
        answer_list(server, out);
        return;
    }
    struct sim_plc *plc = sim_server_find(server, command->id);
    if (plc == NULL) {
        error(out, "no such machine: ");
        out_text(out, command->id);
        return;
    }
    sim_plc_sync(plc);
    answers[command->verb](plc, command, out);
}
