/* `noria audit`: options, and which machines; see audit.h. */
#include "audit.h"

#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit_chain.h"
#include "audit_time.h"
#include "conf.h"
#include "machine.h"
#include "must.h"
#include "proc.h"

static const char help[] =
    "usage: noria audit show   -c FILE [-m MACHINE] [--since TIME] [--until TIME] [--request ID]\n"
    "                          [--refusals] [--json]\n"
    "       noria audit verify -c FILE [-m MACHINE] [--head MACHINE:CHAIN:N:HASH]...\n"
    "\n"
    "Reads what the agents noted before and after they moved a machine, below the configuration's "
    "state_dir.\n"
    "Works while they run; changes nothing.\n"
    "\n"
    "show          a line per command, machine by machine: time, machine, who (- if nobody authenticated), "
    "from\n"
    "              where, command, request_id, PLC's status byte/position before and after, outcome, time "
    "it\n"
    "              took. Outcomes: completed (the move arrived), done, accepted (no end noted yet), no "
    "result\n"
    "              (the agent died; its successor settles it), or the code that the client got.\n"
    "verify        checks every line of both chains (commands, refusals) against the hash of the one "
    "before.\n"
    "              Prints per chain how many records, which, and its head; note heads elsewhere, and have "
    "them\n"
    "              looked for with --head later: who can write the files can make a new chain, but not "
    "that.\n"
    "\n"
    "  -c, --config FILE    the configuration\n"
    "      --state-dir DIR  where the journals are, instead of the file's state_dir (also: NORIA_STATE_DIR)\n"
    "  -m, --machine ID     this machine alone; without it every one that has a journal, configured or not\n"
    "      --since TIME     2026-11-22, \"2026-11-22 10:30\", 2026-11-22T10:30:05Z (UTC), or 90s, 15m, 2h, "
    "3d ago\n"
    "      --until TIME     likewise; not included\n"
    "      --request ID     commands with this request_id\n"
    "      --refusals       also what was refused, and command 0, which only reads\n"
    "      --json           an object per line\n"
    "      --head ...       record N of that chain must have this hash; may be given up to 64 times\n"
    "\n"
    "Exit codes: 0 as asked (verify: sound; a torn tail is reported and sound), 1 broken, or no journal "
    "there,\n"
    "2 usage, 78 the configuration cannot be used.\n";

static int usage(FILE *err, const char *what)
{
    fprintf(err, "noria audit: %s; see noria audit --help\n", what);
    return PROC_EXIT_USAGE;
}

/* --- heads ------------------------------------------------------------------------------------------------------- */

static bool parse_hex(const char *text, uint8_t hash[JOURNAL_HASH])
{
    if (strlen(text) != 2 * JOURNAL_HASH || strspn(text, "0123456789abcdefABCDEF") != 2 * JOURNAL_HASH)
        return false;
    for (size_t i = 0; i < JOURNAL_HASH; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        hash[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static bool parse_chain(const char *text, size_t len, enum journal_chain_e *chain)
{
    for (*chain = 0; *chain < JOURNAL_CHAINS; ++*chain)
        if (strlen(journal_chain_name(*chain)) == len && memcmp(journal_chain_name(*chain), text, len) == 0)
            return true;
    return false;
}

/* From the end: a machine's id may hold colons. */
bool audit_head_parse(const char *text, struct audit_head *head)
{
    const char *colon[3], *end = text + strlen(text);
    for (int i = 2; i >= 0; i--, end = colon[i + 1])
        if ((colon[i] = memrchr(text, ':', (size_t)(end - text))) == NULL)
            return false;
    char *rest;
    *head = (struct audit_head){.machine = text, .machine_len = (size_t)(colon[0] - text)};
    head->n = strtoull(colon[1] + 1, &rest, 10);
    return head->machine_len > 0 && rest == colon[2] && rest > colon[1] + 1 && colon[1][1] != '-' &&
           parse_chain(colon[0] + 1, (size_t)(colon[1] - colon[0] - 1), &head->chain) &&
           parse_hex(colon[2] + 1, head->hash);
}

static int missing_heads(const struct audit_options *options, FILE *out)
{
    int code = 0;
    for (const struct audit_head *head = options->heads; head < options->heads + options->head_count;
         head++) {
        if (head->seen)
            continue;
        code = 1;
        fprintf(out, "%.*s %s: broken: record %" PRIu64 " with the given hash is not there%s\n",
                (int)head->machine_len, head->machine, journal_chain_name(head->chain), head->n,
                ": the journal was cut, rewritten, or has outlived it");
    }
    return code;
}

/* --- machines ---------------------------------------------------------------------------------------------------- */

static bool is_machine(const char *name)
{
    return machine_id_valid(name, strlen(name));
}

static int take_machine(const struct dirent *entry)
{
    return is_machine(entry->d_name);
}

static int one_machine(const struct audit_options *options, const char *agents, const char *machine,
                       audit_machine_f *each, FILE *out, FILE *err, unsigned *found)
{
    char path[AUDIT_PATH_MAX];
    struct stat info;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", agents, machine) >= sizeof path ||
        stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return 0;
    ++*found;
    return each(options, machine, path, out, err);
}

int audit_machines(const struct audit_options *options, const char *state_dir, audit_machine_f *each,
                   FILE *out, FILE *err)
{
    char agents[AUDIT_PATH_MAX - MACHINE_ID_MAX - 2];
    struct dirent **names = NULL;
    unsigned found = 0;
    int code = 0, count = 0;
    snprintf(agents, sizeof agents, "%s/agents", state_dir);
    if (options->machine != NULL)
        code = one_machine(options, agents, options->machine, each, out, err, &found);
    else
        count = scandir(agents, &names, take_machine, alphasort);
    for (int i = 0; i < count; i++) {
        int its = one_machine(options, agents, names[i]->d_name, each, out, err, &found);
        code = its > code ? its : code;
        free(names[i]);
    }
    free(names);
    if (found > 0)
        return code;
    fprintf(err, "noria audit: %s%s%s has no journal\n", agents, options->machine != NULL ? "/" : "",
            options->machine != NULL ? options->machine : "");
    return PROC_EXIT_FAILURE;
}

/* --- options ----------------------------------------------------------------------------------------------------- */

enum long_option_e {
    OPT_STATE_DIR = 256,
    OPT_SINCE,
    OPT_UNTIL,
    OPT_REQUEST,
    OPT_REFUSALS,
    OPT_JSON,
    OPT_HEAD,
    OPT_HELP
};

static const char *take_time(const char *text, uint64_t now_ms, uint64_t *wall_ms)
{
    return audit_time_parse(text, now_ms, wall_ms) ? NULL : "TIME is not understood";
}

static const char *take_head(struct audit_options *options, const char *text)
{
    if (options->head_count == AUDIT_HEADS_MAX)
        return "too many heads";
    return audit_head_parse(text, &options->heads[options->head_count++]) ? NULL
                                                                          : "a head is MACHINE:CHAIN:N:HASH";
}

static const char *take_text(const char **to)
{
    *to = optarg;
    return NULL;
}

static const char *take_flag(bool *to)
{
    *to = true;
    return NULL;
}

/* NULL, or what is wrong. */
static const char *take_option(int option, struct audit_options *options, uint64_t now_ms)
{
    switch (option) {
    case 'c':
        return take_text(&options->file);
    case 'm':
        return take_text(&options->machine);
    case OPT_STATE_DIR:
        return take_text(&options->state_dir);
    case OPT_REQUEST:
        return take_text(&options->request);
    case OPT_SINCE:
        return take_time(optarg, now_ms, &options->since_ms);
    case OPT_UNTIL:
        return take_time(optarg, now_ms, &options->until_ms);
    case OPT_HEAD:
        return take_head(options, optarg);
    case OPT_REFUSALS:
        return take_flag(&options->refusals);
    case OPT_JSON:
        return take_flag(&options->json);
    case OPT_HELP:
        return take_flag(&options->help);
    default:
        return "unknown option";
    }
}

static const char *parse(int argc, char **argv, uint64_t now_ms, struct audit_options *options)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"machine", required_argument, NULL, 'm'},
        {"state-dir", required_argument, NULL, OPT_STATE_DIR},
        {"since", required_argument, NULL, OPT_SINCE},
        {"until", required_argument, NULL, OPT_UNTIL},
        {"request", required_argument, NULL, OPT_REQUEST},
        {"refusals", no_argument, NULL, OPT_REFUSALS},
        {"json", no_argument, NULL, OPT_JSON},
        {"head", required_argument, NULL, OPT_HEAD},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    optind = 0; /* glibc: from the beginning, and permute */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "c:m:", long_options, NULL)) != -1;) {
        const char *problem = take_option(option, options, now_ms);
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

static void tell_problem(void *arg, const char *text)
{
    fprintf(arg, "%s\n", text);
}

static int run(const struct audit_options *options, bool verify, FILE *out, FILE *err)
{
    struct conf *conf;
    if (options->state_dir != NULL)
        setenv("NORIA_STATE_DIR", options->state_dir, 1);
    enum err_e loaded = conf_load(options->file, tell_problem, err, &conf);
    if (loaded != ERR_OK) {
        fprintf(err, "noria audit: %s: %s\n", options->file, err_text(loaded));
        return PROC_EXIT_PERMANENT;
    }
    int code = audit_machines(options, conf->state_dir, verify ? audit_verify_machine : audit_show_machine,
                              out, err);
    if (verify && missing_heads(options, out) != 0)
        code = 1;
    conf_free(&conf);
    return code;
}

int audit_main(int argc, char **argv, uint64_t now_ms, FILE *out, FILE *err)
{
    struct audit_options options = {0};
    const char *problem = parse(argc, argv, now_ms, &options);
    if (problem != NULL)
        return usage(err, problem);
    if (options.help) {
        fputs(help, out);
        return 0;
    }
    const char *what = optind < argc ? argv[optind] : "";
    bool verify = strcmp(what, "verify") == 0;
    if (!verify && strcmp(what, "show") != 0)
        return usage(err, *what == '\0' ? "show or verify?" : "only show and verify");
    if (optind + 1 < argc)
        return usage(err, "too many arguments");
    if (options.file == NULL)
        return usage(err, "-c FILE is missing");
    if (options.machine != NULL && !is_machine(options.machine))
        return usage(err, "that is no machine's id");
    return run(&options, verify, out, err);
}
