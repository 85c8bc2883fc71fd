/* watch_line.c — see watch_line.h. All values come from frames: strings are made printable before they are shown, and a value of
 * another type than expected is shown as the JSON that it is. */
#include "watch_line.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "utf8.h"

/* --- text -------------------------------------------------------------------------------------------------------------- */

static void put_text(FILE *out, const char *text)
{
    char part[512];
    size_t len = strlen(text);
    len = len < sizeof part - 1 ? len : sizeof part - 1;
    memcpy(part, text, len);
    part[len] = '\0';
    utf8_make_printable(part, len, false);
    fputs(part, out);
}

static void put_value(FILE *out, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    put_text(out, text != NULL ? text : "-");
    free(text);
}

static void put_head(const struct watch_line *line)
{
    char stamp[CLOCK_ISO_LEN + 1];
    clock_iso8601(line->wall_ms, stamp);
    fprintf(line->out, "%s  ", stamp);
    put_text(line->out, line->machine != NULL ? line->machine : "-");
    fprintf(line->out, "  %-9s  ", line->event);
}

static void put_end(const struct watch_line *line)
{
    if (line->age_ms >= 0)
        fprintf(line->out, "; age %" PRId64 " ms", line->age_ms);
    fputc('\n', line->out);
}

/* --- JSON -------------------------------------------------------------------------------------------------------------- */

/* Takes `member`. */
static void put_object(const struct watch_line *line, const char *key, json_t *member, json_t *state)
{
    char stamp[CLOCK_ISO_LEN + 1];
    clock_iso8601(line->wall_ms, stamp);
    json_t *object = json_pack("{s:s, s:s?, s:s, s:o}", "time", stamp, "machine", line->machine, "event",
                               line->event, key, member);
    if (state != NULL)
        json_object_set(object, "state", state);
    if (line->age_ms >= 0)
        json_object_set_new(object, "age_ms", json_integer(line->age_ms));
    if (object != NULL && json_dumpf(object, line->out, JSON_COMPACT) == 0)
        fputc('\n', line->out);
    json_decref(object);
}

/* --- states ------------------------------------------------------------------------------------------------------------ */

static void note_change(json_t *changes, const char *key, json_t *was, json_t *is)
{
    if (!json_equal(was, is))
        json_object_set_new(
            changes, key,
            json_pack("[O, O]", was != NULL ? was : json_null(), is != NULL ? is : json_null()));
}

static void note_status(json_t *changes, json_t *was, json_t *is)
{
    const char *key;
    json_t *value;
    char name[160];
    json_object_foreach(is, key, value)
    {
        snprintf(name, sizeof name, "status.%s", key);
        note_change(changes, name, json_object_get(was, key), value);
    }
    json_object_foreach(was, key, value)
    {
        snprintf(name, sizeof name, "status.%s", key);
        if (json_object_get(is, key) == NULL)
            note_change(changes, name, value, NULL);
    }
}

/* {"position":[5,6],"status.RUN":["Detenido","En movimiento"]} */
static json_t *changes_of(json_t *was, json_t *is)
{
    static const char *const keys[] = {"connection_status", "position", "raw_status"};
    json_t *changes = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        note_change(changes, keys[i], json_object_get(was, keys[i]), json_object_get(is, keys[i]));
    note_status(changes, json_object_get(was, "status"), json_object_get(is, "status"));
    return changes;
}

/* The byte says nothing beside the words that it was decoded to. */
static bool is_dull(json_t *changes, const char *key)
{
    return strcmp(key, "raw_status") == 0 && json_object_size(changes) > 1;
}

static const char *shown(const char *key)
{
    if (strcmp(key, "connection_status") == 0)
        return "connection";
    return strncmp(key, "status.", 7) == 0 ? key + 7 : key;
}

static void put_changes(FILE *out, json_t *changes, bool first_look)
{
    const char *key, *between = "";
    json_t *pair;
    json_object_foreach(changes, key, pair)
    {
        if (is_dull(changes, key))
            continue;
        fputs(between, out);
        put_text(out, shown(key));
        fputc(' ', out);
        if (!first_look) {
            put_value(out, json_array_get(pair, 0));
            fputs(" → ", out);
        }
        put_value(out, json_array_get(pair, 1));
        between = ", ";
    }
}

void watch_line_state(const struct watch_line *line, json_t *was, json_t *is)
{
    json_t *changes = changes_of(was, is);
    if (json_object_size(changes) == 0) {
        json_decref(changes);
        return;
    }
    if (line->json) {
        put_object(line, "changes", changes, is);
        return;
    }
    put_head(line);
    put_changes(line->out, changes, was == NULL);
    put_end(line);
    json_decref(changes);
}

/* --- messages ------------------------------------------------------------------------------------------------------------ */

static const char *text_at(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* command_result and error say `result` and `code` in their own places. */
static void put_fate(FILE *out, json_t *message)
{
    json_t *success = json_object_get(message, "success"), *data = json_object_get(message, "data");
    const char *code = text_at(message, "code"), *why = text_at(data, "result");
    if (*why == '\0')
        why = text_at(message, "error");
    if (json_is_true(success)) {
        fputs("ok", out);
        return;
    }
    put_text(out, *code != '\0' ? code : "failed");
    if (*why != '\0') {
        fputs(" \"", out);
        put_text(out, why);
        fputc('"', out);
    }
}

static void put_command(FILE *out, json_t *message)
{
    json_t *data = json_object_get(message, "data"), *command = json_object_get(message, "command");
    json_t *number =
        command != NULL ? json_object_get(command, "command") : json_object_get(data, "command_sent");
    json_t *argument = json_object_get(command != NULL ? command : data, "argument");
    if (number == NULL)
        return;
    fputs("command ", out);
    put_value(out, number);
    if (argument != NULL && !json_is_null(argument)) {
        fputs(", argument ", out);
        put_value(out, argument);
    }
    fputs(": ", out);
}

static void put_member(FILE *out, json_t *message, const char *key, const char *before, const char *after)
{
    json_t *value = json_object_get(message, key);
    if (value == NULL)
        return;
    fputs(before, out);
    put_value(out, value);
    fputs(after, out);
}

static void put_message(FILE *out, json_t *message)
{
    const char *type = text_at(message, "type");
    json_t *machine = json_object_get(message, "machine");
    if (strcmp(type, "alarm") == 0) {
        put_text(out, text_at(message, "condition"));
        fputs(json_is_true(json_object_get(message, "active")) ? " on" : " off", out);
    } else if (machine != NULL) {
        put_text(out, strcmp(type, "machine_added") == 0 ? "added" : "removed");
        put_member(out, machine, "name", " ", "");
        put_member(out, machine, "ip", " ", "");
        put_member(out, machine, "port", " port ", "");
    } else {
        put_command(out, message);
        put_fate(out, message);
        put_member(out, message, "position", "; position ", "");
        put_member(out, message, "elapsed_ms", "; took ", " ms");
        put_member(out, message, "request_id", "; request_id ", "");
    }
}

void watch_line_message(const struct watch_line *line, json_t *message)
{
    if (line->json) {
        put_object(line, "message", json_incref(message), NULL);
        return;
    }
    put_head(line);
    put_message(line->out, message);
    put_end(line);
}

void watch_line_words(const struct watch_line *line, const char *words)
{
    if (line->json) {
        put_object(line, "text", json_string(words), NULL);
        return;
    }
    put_head(line);
    put_text(line->out, words);
    put_end(line);
}
