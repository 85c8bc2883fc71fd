/* conf_reference.c — the reference page of the configuration, made from the table (conf_table.h). deploy/REFERENCE.md is
 * its output; a test compares the two. */
#include "conf.h"

#include <stdio.h>
#include <string.h>

#include "conf_env.h"
#include "conf_key.h"
#include "conf_raw.h"

#define PATH_BYTES 64

static const char head[] =
    "# Noria's configuration file\n"
    "\n"
    "<!-- Made by `noria reference`. Change common/conf/conf_table.h, not this page. -->\n"
    "\n"
    "One YAML file for all processes of an installation (`-c FILE`), at most 1 MiB. `noria check-config "
    "FILE` tells "
    "everything\n"
    "that is wrong with one, with line and what was expected, and shows what it amounts to.\n"
    "\n"
    "```\n"
    "listeners:\n"
    "  - {name: carousel, dialects: [carousel], address: 127.0.0.1, port: 8765}\n"
    "  - {name: http, dialects: [rest, carousel], address: 127.0.0.1, port: 8000}\n"
    "machines:\n"
    "  - {id: lift-1, name: Lift at gate 3, ip: 192.168.1.50, port: 3200}\n"
    "  - {id: lift-2, ip: 192.168.1.51, profile: delta-as, poll_interval_ms: 500}\n"
    "```\n"
    "\n"
    "- Every key has a default unless *required* stands there. A key that no table lists is an error, and so "
    "is one that "
    "stands\n"
    "  twice; a misspelt one is answered with the nearest.\n"
    "- The unit is part of a key's name (`_ms`, `_kib`, `_mib`, `_bytes`) and stands with its bounds in the "
    "column "
    "*value*. Numbers\n"
    "  are decimal digits and nothing else; truths are `true` and `false` (also yes, no, on, off).\n"
    "- Addresses are numeric: a name would have to be looked up while a machine waits.\n"
    "- *Reloadable* says whether a running installation takes a new value over, by `noria reload` or SIGHUP: "
    "all of the "
    "file, or nothing\n"
    "  with a reason. What says *no* takes a restart.\n"
    "- YAML aliases (`*name`), directives (`%TAG`) and further documents (`---`) are refused.\n"
    "\n"
    "## The file's own keys\n";

static const char profiles_example[] = "\n"
                                       "```\n"
                                       "profiles:\n"
                                       "  - name: my-lift\n"
                                       "    version: 2\n"
                                       "    bits:\n"
                                       "      - bit: 0\n"
                                       "        key: RUN\n"
                                       "        zero: {text: Detenido, meaning: stopped}\n"
                                       "        one: {text: En movimiento, meaning: moving}\n"
                                       "      - bit: 3\n"
                                       "        key: MODO_OPERACION\n"
                                       "        zero: {text: Local, meaning: manual}\n"
                                       "        one: {text: Remoto, meaning: remote}\n"
                                       "machines:\n"
                                       "  - {id: lift-1, ip: 192.168.1.50, profile: my-lift}\n"
                                       "```\n"
                                       "\n"
                                       "Meanings come in pairs: ready and not_ready, stopped and moving, "
                                       "remote and manual, no_alarm and alarm, no_estop and "
                                       "estop,\n"
                                       "drive_ok and drive_fault, positioning_ok and positioning_error, "
                                       "upward and downward; none says nothing. Where one bit "
                                       "speaks of a\n"
                                       "pair, its two values say the two halves. Where several bits do, all "
                                       "say the same half (one bit for moving up, one "
                                       "for moving\n"
                                       "down: both `moving`, and `none` for the other value). Keys and texts "
                                       "of a profile together must fit a state's text "
                                       "of 1280 bytes.\n";

static const char endpoints_example[] =
    "\n"
    "```\n"
    "listeners:\n"
    "  - {name: http, dialects: [rest, endpoints], address: 127.0.0.1, port: 8000}\n"
    "handlers:\n"
    "  - {name: chat, command: [noria-chat, --verbose], processes: 2}\n"
    "  - {name: orders, socket: /run/orders/noria.sock, deadline_ms: 20000}\n"
    "endpoints:\n"
    "  - {path: /chat, handler: chat, schema: chat_request.json, reply_schema: chat_response.json}\n"
    "  - {path: /chat-raw, handler: chat}\n"
    "  - {path: /orders/new, handler: orders, schema: order.json, error_object: true}\n"
    "```\n"
    "\n"
    "Process K of the handler NAME listens at `handlers/NAME.K` below runtime_dir. What a schema may say "
    "stands in "
    "common/schema/schema.h;\n"
    "`noria check-config` reads the files and says what is wrong with them. A listener's dialects are asked "
    "in their "
    "order: `carousel` serves\n"
    "every path, so `endpoints` stands before it.\n";

static const char machines_from_text[] =
    "\n"
    "## A file of machines (machines_from)\n"
    "\n"
    "```\n"
    "{\"api_config\": {}, \"plc_machines\": [\n"
    "  {\"id\": \"lift-1\", \"name\": \"Lift at gate 3\", \"ip\": \"192.168.1.50\", \"port\": 3200,\n"
    "   \"simulator\": false, \"description\": \"\"}]}\n"
    "```\n"
    "\n"
    "Such a file of the servers that Noria replaces is taken as it is. Of a machine, id and ip are required; "
    "port, name and "
    "simulator\n"
    "have the defaults of machines[]; all else comes from machine_defaults. Other members, description and "
    "api_config are "
    "ignored.\n"
    "Its machines come after those of `machines`, also for the ports of simulators; an id that stands in "
    "both is an error. "
    "Every\n"
    "program takes such a file for the configuration itself, too, if its name ends in `.json`: everything "
    "else then has "
    "its default,\n"
    "with a listener for the carousel dialect on 127.0.0.1:8765 and one for REST on 127.0.0.1:8000.\n";

static bool is_scalar(const struct conf_key *key)
{
    return key->type < CONF_SECTION || key->type == CONF_STRINGS;
}

static void default_cell(int fd, const struct conf_key *key)
{
    if (key->fallback == NULL)
        dprintf(fd, "required");
    else if (key->fallback[0] == '\0')
        dprintf(fd, "none");
    else
        dprintf(fd, "`%s`", key->fallback[0] == '=' ? key->fallback + 1 : key->fallback);
}

static void value_cell(int fd, const struct conf_key *key)
{
    char expected[CONF_EXPECTED_MAX];
    conf_key_expected(key, expected);
    dprintf(fd, "%s", expected);
    if (key->type != CONF_STRINGS)
        return;
    conf_key_expected(key->element, expected);
    dprintf(fd, ", each %s", expected);
}

static void key_row(int fd, const struct conf_key *key)
{
    dprintf(fd, "| `%s` | ", key->key);
    value_cell(fd, key);
    dprintf(fd, " | ");
    default_cell(fd, key);
    dprintf(fd, " | %s | %s |\n", key->reloadable ? "yes" : "no", key->text);
}

static void section_table(int fd, const struct conf_section *section)
{
    bool any = false;
    for (size_t i = 0; i < section->count; i++) {
        if (!is_scalar(&section->keys[i]))
            continue;
        if (!any)
            dprintf(fd, "\n| key | value | default | reloadable | |\n|---|---|---|---|---|\n");
        any = true;
        key_row(fd, &section->keys[i]);
    }
}

/* The sections below one, each under its whole path. */
static void inner_sections(int fd, const struct conf_section *section, const char *path)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        char inner[PATH_BYTES];
        if (is_scalar(key))
            continue;
        snprintf(inner, sizeof inner, "%s%s%s%s", path, *path != '\0' ? "." : "", key->key,
                 key->type == CONF_LIST ? "[]" : "");
        dprintf(fd, "\n## %s\n\n%s\n", inner, key->text);
        section_table(fd, key->section);
        inner_sections(fd, key->section, inner);
        if (strcmp(inner, "profiles[]") == 0)
            dprintf(fd, "%s", profiles_example);
        if (strcmp(inner, "endpoints[]") == 0)
            dprintf(fd, "%s", endpoints_example);
    }
}

static void environment(int fd)
{
    dprintf(fd, "\n## Environment\n\nThese variables override the file; an empty one is none. `noria "
                "check-config` says "
                "which are set.\n\n| variable | key | in |\n|---|---|---|\n");
#define E(variable, path, factor, unit) dprintf(fd, "| `%s` | `%s` | %s |\n", variable, path, unit);
    CONF_ENV_TABLE(E)
#undef E
}

void conf_reference(int fd)
{
    dprintf(fd, "%s", head);
    section_table(fd, &conf_root_section);
    inner_sections(fd, &conf_root_section, "");
    dprintf(fd, "%s", machines_from_text);
    environment(fd);
}
