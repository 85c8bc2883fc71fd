/* carousel_message.h — what a client of the carousel dialect says, as structs (Hop: C2). Pure: bytes in, struct out.
 *
 * Strict where a command is concerned: `command` and `argument` are JSON integers 0 to 255, nothing that merely looks
 * like one. Unknown members are ignored; a missing or mistyped member is an error whose text names it. Source:
 * carousel-websocket-api, "Tipos de Mensaje".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "machine.h"

#define CAROUSEL_ERROR_MAX 160 /* bytes of an error text with its NUL; that of command_json.h */
#define CAROUSEL_IDS_MAX   2048
#define CAROUSEL_SINCE_MAX 31 /* bytes of "since"; a "RING-N" has at most 29 */

enum carousel_type_e {
    CAROUSEL_PING,
    CAROUSEL_GET_STATUS,
    CAROUSEL_GET_MACHINES,
    CAROUSEL_SEND_COMMAND,
    CAROUSEL_SUBSCRIBE,
    CAROUSEL_UNSUBSCRIBE
};

enum carousel_subscription_e { CAROUSEL_STATUS_UPDATES, CAROUSEL_COMMAND_RESULTS, CAROUSEL_ALL_EVENTS };

/* An id as the client wrote it; it names a machine only if machine_id_valid(). */
struct carousel_id {
    char text[MACHINE_ID_MAX + 1];
};

struct carousel_message {
    enum carousel_type_e type;
    bool has_machine;
    struct carousel_id machine;
    /* send_command */
    uint8_t command;
    int argument;                        /* -1: none */
    char request_id[REQUEST_ID_MAX + 1]; /* "": none */
    int64_t deadline_ms;                 /* -1: none */
    /* subscribe, unsubscribe */
    enum carousel_subscription_e subscription;
    bool has_since; /* subscribe only */
    char since[CAROUSEL_SINCE_MAX + 1];
    bool all_machines; /* no machine_ids member */
    uint32_t id_count;
    struct carousel_id ids[CAROUSEL_IDS_MAX];
};

struct carousel_problem {
    enum command_code_e code; /* INVALID_MESSAGE_FORMAT, INVALID_COMMAND or MACHINE_NOT_FOUND */
    char text[CAROUSEL_ERROR_MAX];
    /* for the answer, where the message was readable that far; "" else */
    struct carousel_id machine;
    char request_id[REQUEST_ID_MAX + 1];
};

const char *carousel_subscription_text(enum carousel_subscription_e subscription);

/* False: *problem says why. `text` is valid UTF-8 or binary; any bytes are safe. `single`: there is one machine only, and
 * send_command may leave out its id (then has_machine is false). */
bool carousel_parse(const char *text, size_t len, bool single, struct carousel_message *message,
                    struct carousel_problem *problem);
