/* top.c — see top.h: the terminal, and when to look. */
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"
#include "must.h"
#include "proc.h"
#include "top_rows.h"

#define LOOK_MS 1000
#define BASE_NS (60 * NS_PER_S) /* quantiles are of the last one to two of these */
#define ENTER   "\033[?1049h\033[?25l"
#define LEAVE   "\033[?25h\033[?1049l"

struct top {
    const char *runtime_dir;
    int in, out;
    struct termios found;
    struct top_look *now, *before, *base, *next_base;
    bool absent;
};

static volatile sig_atomic_t told_to_end, told_to_rest;

/* --- looks ------------------------------------------------------------------------------------------------------------- */

/* `look` may still be needed as another of the four. */
static void drop(struct top *top, struct top_look *look)
{
    if (look != top->now && look != top->before && look != top->base && look != top->next_base)
        top_look_free(&look);
}

static enum err_e look(struct top *top)
{
    const struct clock *clock = clock_system();
    struct top_look *taken, *oldest = top->before;
    enum err_e err = top_look_take(top->runtime_dir, clock_wall_ms(clock), clock_mono_ns(clock), &taken);
    top->absent = err == ERR_NOT_FOUND;
    if (err != ERR_OK)
        return err;
    top->before = top->now;
    top->now = taken;
    if (oldest != NULL)
        drop(top, oldest);
    if (top->next_base == NULL)
        top->base = top->next_base = taken;
    if (taken->mono_ns - top->next_base->mono_ns >= BASE_NS) {
        struct top_look *gone = top->base;
        top->base = top->next_base;
        top->next_base = taken;
        drop(top, gone);
    }
    return ERR_OK;
}

static void forget(struct top *top)
{
    struct top_look *all[] = {top->now, top->before, top->base, top->next_base};
    top->now = top->before = top->base = top->next_base = NULL;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (size_t k = i + 1; k < ARRAY_LEN(all); k++)
            if (all[k] == all[i])
                all[k] = NULL;
        top_look_free(&all[i]);
    }
}

static struct top_picture picture_of(const struct top *top)
{
    return (struct top_picture){
        .now = top->now, .before = top->before, .base = top->base, .absent = top->absent};
}

/* --- the terminal ------------------------------------------------------------------------------------------------------ */

static void put(const struct top *top, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(top->out, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            told_to_end = 1; /* nobody looks any more */
            return;
        }
        text += n;
        len -= (size_t)n;
    }
}

static bool can_draw(const struct top *top)
{
    const char *term = getenv("TERM");
    return isatty(top->out) && isatty(top->in) && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

static void enter(const struct top *top)
{
    struct termios raw = top->found;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(top->in, TCSANOW, &raw);
    put(top, ENTER, sizeof ENTER - 1);
}

static void leave(const struct top *top)
{
    put(top, LEAVE, sizeof LEAVE - 1);
    tcsetattr(top->in, TCSANOW, &top->found);
}

static void on_signal(int number)
{
    if (number == SIGTSTP)
        told_to_rest = 1;
    else if (number != SIGWINCH)
        told_to_end = 1;
}

static void take_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sigaction(numbers[i], &action, NULL);
}

/* Lines go where they stood before, so that nothing flickers. */
static void draw_screen(const struct top *top)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char *text = NULL;
    size_t len = 0;
    (void)ioctl(top->out, TIOCGWINSZ, &size);
    struct top_picture picture = picture_of(top);
    picture.rows = size.ws_row > 8 ? size.ws_row - 1u : 8;
    picture.columns = size.ws_col > 20 ? size.ws_col : 20;
    FILE *memory = open_memstream(&text, &len);
    if (memory == NULL)
        return;
    top_draw(&picture, memory);
    fclose(memory);
    put(top, "\033[H", 3);
    for (char *line = text, *end; line < text + len; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + len - line));
        put(top, line, (size_t)(end - line));
        put(top, "\033[K\r\n", 5);
    }
    put(top, "\033[J", 3);
    free(text);
}

static void rest(const struct top *top)
{
    told_to_rest = 0;
    leave(top);
    raise(SIGSTOP);
    enter(top);
}

/* True if a key that ends it was pressed. */
static bool wait_for_key(const struct top *top)
{
    struct pollfd keys = {.fd = top->in, .events = POLLIN};
    char key = 0;
    if (poll(&keys, 1, LOOK_MS) <= 0)
        return false;
    return read(top->in, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 4 /* Ctrl-D */;
}

static enum err_e on_terminal(struct top *top)
{
    enum err_e err = ERR_OK;
    if (tcgetattr(top->in, &top->found) != 0)
        return ERR_SYSTEM;
    take_signals();
    enter(top);
    while (!told_to_end) {
        draw_screen(top);
        if (wait_for_key(top))
            break;
        if (told_to_rest)
            rest(top);
        err = look(top);
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            break;
    }
    leave(top);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err_e one_picture(struct top *top)
{
    poll(NULL, 0, LOOK_MS);
    enum err_e err = look(top);
    if (err != ERR_OK)
        return err;
    struct top_picture picture = picture_of(top);
    int copy = dup(top->out);
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (out == NULL)
        return ERR_SYSTEM;
    top_draw(&picture, out);
    return fclose(out) == 0 ? ERR_OK : ERR_SYSTEM;
}

int top_run(const char *runtime_dir, int in, int out)
{
    struct top top = {.runtime_dir = runtime_dir, .in = in, .out = out};
    enum err_e err = look(&top);
    if (err == ERR_OK)
        err = can_draw(&top) ? on_terminal(&top) : one_picture(&top);
    forget(&top);
    if (err == ERR_OK)
        return 0;
    fprintf(stderr, "noria top: %s: %s\n", runtime_dir,
            err == ERR_NOT_FOUND ? "nothing runs there" : err_text(err));
    return PROC_EXIT_FAILURE;
}
