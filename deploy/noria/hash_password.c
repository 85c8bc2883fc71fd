/* hash_password.c — see hash_password.h. */
#include "hash_password.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include <argon2.h>

#include "proc.h"

#define SALT_BYTES  16u
#define HASH_BYTES  32u
#define ENCODED_MAX 256u

struct secret {
    char text[HASH_PASSWORD_MAX + 2]; /* one more than may be, and a NUL */
    size_t len;
};

/* False: nothing to read. A byte that is no part of a text (NUL) stays where it is, and counts. */
static bool read_line(FILE *in, struct secret *secret)
{
    int c = EOF;
    secret->len = 0;
    while (secret->len < sizeof secret->text - 1 && (c = getc(in)) != EOF && c != '\n')
        secret->text[secret->len++] = (char)c;
    if (secret->len > 0 && c == '\n' && secret->text[secret->len - 1] == '\r')
        secret->len--;
    secret->text[secret->len] = '\0';
    return secret->len > 0 || c == '\n';
}

struct terminal {
    int fd;
    bool hidden;
    struct termios before;
    sigset_t signals;
};

/* Whoever interrupts meanwhile does so when it shows again what is typed. Not `hidden`: it is no terminal. */
static void hide(struct terminal *terminal)
{
    struct termios silent;
    sigset_t stops;
    if (!isatty(terminal->fd) || tcgetattr(terminal->fd, &terminal->before) != 0)
        return;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGQUIT);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGHUP);
    sigaddset(&stops, SIGTSTP);
    sigprocmask(SIG_BLOCK, &stops, &terminal->signals);
    silent = terminal->before;
    silent.c_lflag &= (tcflag_t) ~(tcflag_t)ECHO;
    terminal->hidden = tcsetattr(terminal->fd, TCSAFLUSH, &silent) == 0;
}

static void show(const struct terminal *terminal)
{
    if (!terminal->hidden)
        return;
    tcsetattr(terminal->fd, TCSAFLUSH, &terminal->before);
    sigprocmask(SIG_SETMASK, &terminal->signals, NULL);
}

static bool ask(FILE *in, FILE *err, const char *prompt, bool hidden, struct secret *secret)
{
    if (hidden)
        fprintf(err, "%s: ", prompt);
    bool read = read_line(in, secret);
    if (hidden)
        fputc('\n', err);
    return read;
}

static const char *fault_of(const struct secret *secret, const struct secret *again, bool hidden)
{
    if (secret->len == 0)
        return "no password found on standard input";
    if (secret->len > HASH_PASSWORD_MAX)
        return "the password is longer than 1024 bytes";
    if (memchr(secret->text, '\0', secret->len) != NULL)
        return "the password has a NUL in it, which no client could send";
    if (hidden && (again->len != secret->len || memcmp(again->text, secret->text, secret->len) != 0))
        return "these were two different passwords";
    return NULL;
}

static bool make(const struct secret *secret, char encoded[ENCODED_MAX])
{
    unsigned char salt[SALT_BYTES];
    return getrandom(salt, sizeof salt, 0) == (ssize_t)sizeof salt &&
           argon2id_hash_encoded(HASH_PASSWORD_PASSES, HASH_PASSWORD_KIB, HASH_PASSWORD_LANES, secret->text,
                                 secret->len, salt, sizeof salt, HASH_BYTES, encoded,
                                 ENCODED_MAX) == ARGON2_OK;
}

int hash_password(FILE *in, FILE *out, FILE *err)
{
    struct secret secret = {.len = 0}, again = {.len = 0};
    struct terminal terminal = {.fd = fileno(in)};
    char encoded[ENCODED_MAX];
    int code = PROC_EXIT_FAILURE;
    hide(&terminal);
    bool read = ask(in, err, "Password", terminal.hidden, &secret);
    if (read && terminal.hidden)
        read = ask(in, err, "Once more", terminal.hidden, &again);
    show(&terminal);
    const char *fault =
        read ? fault_of(&secret, &again, terminal.hidden) : "no password found on standard input";
    if (fault != NULL)
        fprintf(err, "noria hash-password: %s\n", fault);
    else if (!make(&secret, encoded))
        fprintf(err, "noria hash-password: no memory, or no randomness\n");
    else
        code = fprintf(out, "%s\n", encoded) > 0 ? 0 : PROC_EXIT_FAILURE;
    explicit_bzero(&secret, sizeof secret);
    explicit_bzero(&again, sizeof again);
    return code;
}
