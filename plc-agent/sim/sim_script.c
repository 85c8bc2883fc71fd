/* Steps are sorted once and one timer walks along them, so that a script costs nothing between its steps. Rejected:
 * reading the file as it runs (an error in its last line would show after hours). */
#include "sim_script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "must.h"
#include "sim_answer.h"
#include "sim_command.h"

#define AT_MAX_MS (30ULL * 24 * 3600 * 1000)
#define TEXT_MAX  (SIM_LINE_MAX + 32) /* of one line with "at MS " and its end */

struct step {
    uint64_t at_ms;
    size_t line; /* of the file; orders equal times */
    struct sim_command command;
};

struct sim_script {
    struct loop *loop;
    struct sim_server *server;
    struct loop_timer *timer;
    char *path;
    struct step *steps;
    size_t count, capacity, next;
    uint64_t start_ns;
    char *answer;
    size_t answer_max;
};

static enum err_e refuse(const struct sim_script *script, size_t line, enum err_e err, const char *problem)
{
    log_error("sim-script-refused", "place=%s:%zu reason=\"%s\"", script->path, line, problem);
    return err;
}

static struct step *new_step(struct sim_script *script)
{
    if (script->count == script->capacity) {
        size_t capacity = script->capacity ? script->capacity * 2 : 16;
        struct step *steps = realloc(script->steps, capacity * sizeof *steps);
        if (steps == NULL)
            return NULL;
        script->steps = steps;
        script->capacity = capacity;
    }
    return &script->steps[script->count++];
}

/* Splits "at MS COMMAND"; returns COMMAND, or NULL. */
static const char *split_time(char *text, uint64_t *at_ms)
{
    char *rest = text, *word = strsep(&rest, " \t");
    if (rest == NULL || strcmp(word, "at") != 0)
        return NULL;
    rest += strspn(rest, " \t");
    word = strsep(&rest, " \t");
    return rest != NULL && sim_number_parse(word, 0, AT_MAX_MS, at_ms) ? rest : NULL;
}

static enum err_e add_line(struct sim_script *script, size_t line, char *text)
{
    text += strspn(text, " \t");
    if (*text == '\0' || *text == '#')
        return ERR_OK;
    if (script->count == SIM_SCRIPT_STEPS_MAX)
        return refuse(script, line, ERR_TOO_LARGE, "too many steps");
    struct step step = {.line = line};
    const char *command = split_time(text, &step.at_ms);
    if (command == NULL)
        return refuse(script, line, ERR_MALFORMED, "expected: at MILLISECONDS COMMAND");
    char problem[SIM_PROBLEM_MAX];
    if (sim_command_parse(command, strlen(command), &step.command, problem) != ERR_OK)
        return refuse(script, line, ERR_MALFORMED, problem);
    if (step.command.verb == SIM_VERB_WAIT)
        return refuse(script, line, ERR_MALFORMED, "a script waits by its times, not by wait");
    if (step.command.verb != SIM_VERB_LIST && sim_server_find(script->server, step.command.id) == NULL)
        return refuse(script, line, ERR_NOT_FOUND, "no such machine");
    struct step *place = new_step(script);
    if (place == NULL)
        return ERR_MEMORY;
    *place = step;
    return ERR_OK;
}

static enum err_e read_lines(struct sim_script *script, FILE *file)
{
    char text[TEXT_MAX + 1];
    enum err_e err = ERR_OK;
    for (size_t line = 1; err == ERR_OK && fgets(text, sizeof text, file) != NULL; line++) {
        size_t len = strcspn(text, "\n");
        if (text[len] == '\0' && !feof(file))
            return refuse(script, line, ERR_TOO_LARGE, "line too long, or a NUL byte in it");
        if (len > 0 && text[len - 1] == '\r')
            len--;
        text[len] = '\0';
        err = add_line(script, line, text);
    }
    return ferror(file) ? refuse(script, 0, ERR_SYSTEM, strerror(errno)) : err;
}

static int by_time(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static uint64_t due_ns(const struct sim_script *script)
{
    return script->start_ns + script->steps[script->next].at_ms * NS_PER_MS;
}

static void run_step(struct sim_script *script, const struct step *step)
{
    struct out answer = out_init(script->answer, script->answer_max);
    sim_answer(script->server, &step->command, &answer);
    MUST(!answer.overflow);
    bool ok = answer.len >= 2 && memcmp(answer.at, "ok", 2) == 0;
    log_write(ok ? LOG_INFO : LOG_WARN, "sim-script-step", "place=%s:%zu answer=\"%.*s\"", script->path,
              step->line, (int)answer.len, answer.at);
}

/* Steps of one time run together: no request comes between them. */
static void on_due(void *arg)
{
    struct sim_script *script = arg;
    uint64_t now = loop_now_ns(script->loop);
    while (script->next < script->count && due_ns(script) <= now)
        run_step(script, &script->steps[script->next++]);
    if (script->next < script->count)
        loop_timer_start_at(script->timer, due_ns(script));
}

static enum err_e load(struct sim_script *script)
{
    script->answer_max = SIM_ANSWER_MAX;
    script->answer = malloc(script->answer_max);
    script->timer = loop_timer_new(script->loop, on_due, script);
    if (script->answer == NULL || script->timer == NULL)
        return ERR_MEMORY;
    FILE *file = fopen(script->path, "re");
    if (file == NULL)
        return refuse(script, 0, ERR_SYSTEM, strerror(errno));
    enum err_e err = read_lines(script, file);
    fclose(file);
    if (err == ERR_OK && script->count > 0)
        qsort(script->steps, script->count, sizeof *script->steps, by_time);
    return err;
}

enum err_e sim_script_load(const char *path, struct loop *loop, struct sim_server *server,
                           struct sim_script **script)
{
    struct sim_script *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_MEMORY;
    *s = (struct sim_script){.loop = loop, .server = server, .path = strdup(path)};
    enum err_e err = s->path != NULL ? load(s) : ERR_MEMORY;
    if (err != ERR_OK)
        sim_script_free(&s);
    else
        *script = s;
    return err;
}

void sim_script_start(struct sim_script *script)
{
    script->start_ns = loop_now_ns(script->loop);
    loop_timer_start(script->timer, 0);
}

void sim_script_free(struct sim_script **script)
{
    struct sim_script *s = *script;
    if (s == NULL)
        return;
    loop_timer_free(&s->timer);
    free(s->steps);
    free(s->path);
    free(s->answer);
    free(s);
    *script = NULL;
}
