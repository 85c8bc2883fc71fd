/* conf_changes: every key of the table, changed, is reported by its name, with both values, reloadable or not as the page says. Secrets are
 * not told; what has a name is known by it. */
#include "conf_fixture.h"

#include <stdlib.h>

#include "conf_key.h"
#include "conf_raw.h"
#include "conf_value.h"

static char told[256 * 1024]; /* changes, a line each */
static size_t told_count;

static char seen[512][CONF_KEY_PATH_MAX]; /* keys of the table that were reported, "machines[].ip" */
static bool seen_reloadable[512];
static size_t seen_count;

/* "machines[a].ip" → "machines[].ip" */
static void note_seen(const struct conf_change *change)
{
    char path[CONF_KEY_PATH_MAX];
    size_t len = 0;
    bool inside = false;
    for (const char *at = change->key; *at != '\0'; at++) {
        inside = inside && *at != ']';
        if (!inside)
            path[len++] = *at;
        inside = inside || *at == '[';
    }
    path[len] = '\0';
    assert_true(seen_count < 512);
    strcpy(seen[seen_count], path);
    seen_reloadable[seen_count++] = change->reloadable;
}

static void on_change(void *arg, const struct conf_change *change)
{
    char text[CONF_CHANGE_MAX];
    (void)arg;
    conf_change_text(change, text);
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s%s%s\n", text, change->machine != NULL ? " @" : "",
             change->machine != NULL ? change->machine : "");
    told_count++;
    note_seen(change);
}

static size_t changes(const char *was, const char *is)
{
    struct conf *now = conf_good("c.yaml", was), *next = conf_good("c.yaml", is);
    told[0] = '\0';
    told_count = 0;
    size_t refused = conf_changes(now, next, on_change, NULL);
    assert_int_equal(conf_changes(now, next, NULL, NULL), refused);
    conf_free(&now);
    conf_free(&next);
    return refused;
}

static void expect(const char *was, const char *is, size_t refused, const char *lines)
{
    assert_int_equal(changes(was, is), refused);
    assert_string_equal(told, lines);
}

/* --- the sections of the file, one key after the other, by the table ---------------------------------------------- */

/* Another value than the default, which contradicts no other. */
static bool other_value(const struct conf_key *key, char out[300])
{
    const char *fallback = key->fallback;
    unsigned long long number = fallback != NULL ? strtoull(fallback, NULL, 10) : 0;
    switch (key->type) {
    case CONF_UINT:
    case CONF_PORT:
    case CONF_KIB:
        snprintf(out, 300, "%llu", number < key->max ? number + 1 : number - 1);
        return true;
    case CONF_POWER2:
        snprintf(out, 300, "%llu", number < key->max ? number * 2 : number / 2);
        return true;
    case CONF_BOOL:
        snprintf(out, 300, "%s", strcmp(fallback, "true") == 0 ? "false" : "true");
        return true;
    case CONF_CHOICE: {
        size_t first = strcspn(key->form, "|");
        bool is_first = strncmp(key->form, fallback, first) == 0 && fallback[first] == '\0';
        const char *at = is_first ? key->form + first + 1 : key->form;
        snprintf(out, 300, "%.*s", (int)strcspn(at, "|"), at);
        return true;
    }
    case CONF_NAME:
    case CONF_TEXT:
        snprintf(out, 300, "another");
        return true;
    case CONF_ADDRESS:
        snprintf(out, 300, "127.0.0.9");
        return true;
    case CONF_PATH:
        snprintf(out, 300, "/another/path");
        return true;
    case CONF_STRINGS:
        snprintf(out, 300, "[https://a.example]");
        return true;
    default:
        return false;
    }
}

static void with_key(const struct conf_section *section, const struct conf_key *key, const char *path)
{
    char value[300], text[800], name[CONF_KEY_PATH_MAX];
    (void)section;
    snprintf(name, sizeof name, "%s%s%s", path, *path != '\0' ? "." : "", key->key);
    if (strcmp(name, "machines_from") == 0 || strcmp(name, "workers.count") == 0 ||
        strcmp(name, "auth.jwt.sign_with") == 0)
        return; /* below */
    if (!other_value(key, value))
        fail_msg("%s: teach other_value() its type", name);
    char outer[CONF_KEY_PATH_MAX], inner[CONF_KEY_PATH_MAX] = "";
    snprintf(outer, sizeof outer, "%s", path);
    char *dot = strchr(outer, '.');
    if (dot != NULL) {
        snprintf(inner, sizeof inner, "%s", dot + 1);
        *dot = '\0';
    }
    if (*inner != '\0')
        snprintf(text, sizeof text, "%s:\n  %s:\n    %s: %s\n", outer, inner, key->key, value);
    else if (*outer != '\0')
        snprintf(text, sizeof text, "%s:\n  %s: %s\n", outer, key->key, value);
    else
        snprintf(text, sizeof text, "%s: %s\n", key->key, value);
    assert_int_equal(changes("log: {}\n", text), !key->reloadable);
    char expected[700];
    snprintf(expected, sizeof expected, "%s: ", name);
    if (told_count != 1 || strncmp(told, expected, strlen(expected)) != 0 || strstr(told, value) == NULL)
        fail_msg("%s: told %s", name, told);
    assert_int_equal(strstr(told, "takes a restart") != NULL, !key->reloadable);
}

static void walk(const struct conf_section *section, const char *path)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        char inner[CONF_KEY_PATH_MAX];
        snprintf(inner, sizeof inner, "%s%s%s", path, *path != '\0' ? "." : "", key->key);
        if (key->type == CONF_SECTION)
            walk(key->section, inner);
        else if (key->type != CONF_LIST)
            with_key(section, key, path);
    }
}

static void every_key_of_a_section_is_reported(void **state)
{
    (void)state;
    walk(&conf_root_section, "");
    expect("workers: {count: 2}", "workers: {count: 3}", 1, "workers.count: 2 → 3: takes a restart\n");
}

static void values_are_told_as_they_are_written(void **state)
{
    (void)state;
    expect("log: {level: info}", "log: {level: warn}", 0, "log.level: info → warn\n");
    expect("slow_clients: {soft_kib: 64}", "slow_clients: {soft_kib: 65}", 0,
           "slow_clients.soft_kib: 64 → 65\n");
    expect("{}", "auth: {jwt: {issuer: us}}", 0, "auth.jwt.issuer: \"\" → us\n");
    expect("{}", "websocket: {allowed_origins: [https://a.example, 'https://b.example']}", 0,
           "websocket.allowed_origins: [] → [https://a.example, https://b.example]\n");
    expect("ring: {size_mib: 64}", "ring: {size_mib: 32}", 1, "ring.size_mib: 64 → 32: takes a restart\n");
    expect("log: {level: info}", "log:\n  level: info # the same\nworkers: {}\n", 0, "");
}

/* The same file on a host that was given another CPU. */
static void workers_are_counted_as_they_are_written(void **state)
{
    (void)state;
    struct conf *now = conf_good("c.yaml", "{}"), *next = conf_good("c.yaml", "workers: {count: 0}");
    told[0] = '\0';
    next->workers++;
    assert_int_equal(conf_changes(now, next, on_change, NULL), 0);
    assert_string_equal(told, "");
    conf_free(&now);
    conf_free(&next);
}

static void a_default_that_is_written_out_is_no_change(void **state)
{
    (void)state;
    expect("{}", "websocket: {max_message_bytes: 65536}\nstreams: {echo: no}", 0, "");
}

/* --- entries of lists ----------------------------------------------------------------------------------------------- */

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define HASH                                                                                                 \
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"                                                 \
    "qVmHkxdHrDqUcwNAGZGq2Ly5wYWKgvGSgPRYrwlLRgw"
#define HASH2                                                                                                \
    "$argon2id$v=19$m=19456,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$"                                                 \
    "qVmHkxdHrDqUcwNAGZGq2Ly5wYWKgvGSgPRYrwlLRgw"

static const char everything[] =
    "auth:\n"
    "  tokens:\n"
    "    - {principal: wms, sha256: " SHA "1, machines_command: [a]}\n"
    "    - {principal: spare, sha256: " SHA "2}\n"
    "  users:\n"
    "    - {name: ana, password: '" HASH "'}\n"
    "  keys:\n"
    "    - {kid: k1, alg: HS256, file: /k1}\n"
    "listeners:\n"
    "  - {name: main, dialects: [endpoints, carousel], address: 127.0.0.1, port: 9000, auth: none}\n"
    "profiles:\n"
    "  - name: mine\n"
    "    bits:\n"
    "      - {bit: 0, key: RUN, zero: {text: stands, meaning: stopped}, one: {text: moves, meaning: "
    "moving}}\n"
    "machines:\n"
    "  - {id: a, name: A, ip: 10.0.0.1, port: 3200, profile: mine}\n"
    "  - {id: s, ip: 10.0.0.2, simulator: true, sim_positions: 10, sim_ms_per_position: 20}\n"
    "bridges:\n"
    "  - {from: states, stream: floor, machines: [a]}\n"
    "handlers:\n"
    "  - {name: chat, command: [chat, -v], processes: 2, deadline_ms: 100, stuck_ms: 200}\n"
    "  - {name: far, socket: /far}\n"
    "endpoints:\n"
    "  - {path: /chat, handler: chat, schema: /s.json, reply_schema: /r.json, binary: false, error_object: "
    "false}\n";

static const struct {
    const char *from, *to;
    size_t refused;
    const char *lines;
} replaced[] = {
    {"principal: wms", "principal: wms2", 0, "auth.tokens[wms].principal: wms → wms2\n"},
    {SHA "1", SHA "3", 0, "auth.tokens[wms]: removed\nauth.tokens[wms]: added\n"},
    {"machines_command: [a]", "machines_command: [a, s]", 0,
     "auth.tokens[wms].machines_command: [a] → [a, s]\n"},
    {", machines_command: [a]", "", 0, "auth.tokens[wms].machines_command: [a] → all of them\n"},
    {"    - {principal: spare, sha256: " SHA "2}\n", "", 0, "auth.tokens[spare]: removed\n"},
    {"name: ana", "name: eva", 0, "auth.users[ana]: removed\nauth.users[eva]: added\n"},
    {HASH, HASH2, 0, "auth.users[ana].password: changed\n"},
    {"password: '" HASH "'", "password: '" HASH "', loopback_only: true", 0,
     "auth.users[ana].loopback_only: false → true\n"},
    {"kid: k1", "kid: k2", 0, "auth.keys[k1]: removed\nauth.keys[k2]: added\n"},
    {"alg: HS256", "alg: ES256", 0, "auth.keys[k1].alg: HS256 → ES256\n"},
    {"file: /k1", "file: /k9", 0, "auth.keys[k1].file: /k1 → /k9\n"},
    {"name: main", "name: other", 1, "listeners[0].name: main → other: takes a restart\n"},
    {"[endpoints, carousel]", "[endpoints]", 1,
     "listeners[0].dialects: [endpoints, carousel] → [endpoints]: takes a restart\n"},
    {"address: 127.0.0.1", "address: 127.0.0.2", 1,
     "listeners[0].address: 127.0.0.1 → 127.0.0.2: takes a restart\n"},
    {"port: 9000", "port: 9001", 1, "listeners[0].port: 9000 → 9001: takes a restart\n"},
    {"auth: none", "auth: token", 1, "listeners[0].auth: none → token: takes a restart\n"},
    {"profiles:\n", "  - {name: more, port: 9009}\nprofiles:\n", 1, "listeners[1]: added: takes a restart\n"},
    {"name: mine\n", "name: mine\n    version: 2\n", 0,
     "profiles[mine].version: 1 → 2\nmachines[a].profile: mine version 1 → mine version 2 @a\n"},
    {"text: moves", "text: goes", 0, "profiles[mine].bits: changed\nmachines[a].profile: changed @a\n"},
    {"key: RUN", "key: GO", 0, "profiles[mine].bits: changed\nmachines[a].profile: changed @a\n"},
    {"profile: mine", "profile: standard", 0, "machines[a].profile: mine → standard @a\n"},
    {"name: A", "name: B", 0, "machines[a].name: A → B @a\n"},
    {"ip: 10.0.0.1", "ip: 10.0.0.3", 0, "machines[a].ip: 10.0.0.1 → 10.0.0.3 @a\n"},
    {"port: 3200", "port: 3300", 0, "machines[a].port: 3200 → 3300 @a\n"},
    {"simulator: true", "simulator: false", 0, "machines[s].simulator: true → false @s\n"},
    {"sim_positions: 10", "sim_positions: 11", 0, "machines[s].sim_positions: 10 → 11 @s\n"},
    {"sim_ms_per_position: 20", "sim_ms_per_position: 21", 0,
     "machines[s].sim_ms_per_position: 20 → 21 @s\n"},
    {"name: A,", "name: A, mode: single,", 0, "machines[a].mode: multi → single @a\n"},
    {"name: A,", "name: A, connection: per_request,", 0,
     "machines[a].connection: persistent → per_request @a\n"},
    {"name: A,", "name: A, rearm: automatic,", 0, "machines[a].rearm: manual → automatic @a\n"},
    {"name: A,", "name: A, connect_timeout_ms: 7,", 0, "machines[a].connect_timeout_ms: 2000 → 7 @a\n"},
    {"name: A,", "name: A, reply_timeout_ms: 7,", 0, "machines[a].reply_timeout_ms: 1000 → 7 @a\n"},
    {"name: A,", "name: A, poll_interval_ms: 60,", 0, "machines[a].poll_interval_ms: 250 → 60 @a\n"},
    {"name: A,", "name: A, poll_moving_ms: 7,", 0, "machines[a].poll_moving_ms: 50 → 7 @a\n"},
    {"name: A,", "name: A, backoff_min_ms: 7,", 0, "machines[a].backoff_min_ms: 500 → 7 @a\n"},
    {"name: A,", "name: A, backoff_max_ms: 700,", 0, "machines[a].backoff_max_ms: 30000 → 700 @a\n"},
    {"name: A,", "name: A, stale_after_ms: 700,", 0, "machines[a].stale_after_ms: 3000 → 700 @a\n"},
    {"name: A,", "name: A, command_deadline_ms: 7,", 0, "machines[a].command_deadline_ms: 5000 → 7 @a\n"},
    {"name: A,", "name: A, move_timeout_ms: 7,", 0, "machines[a].move_timeout_ms: 60000 → 7 @a\n"},
    {"bridges:\n", "  - {id: new, ip: 10.0.0.9}\nbridges:\n", 0, "machines[new]: added @new\n"},
    {"  - {id: s, ip: 10.0.0.2, simulator: true, sim_positions: 10, sim_ms_per_position: 20}\n", "", 0,
     "machines[s]: removed @s\n"},
    {"from: states", "from: results", 0, "bridges[floor]: removed\nbridges[floor]: added\n"},
    {"stream: floor", "stream: hall", 0, "bridges[floor]: removed\nbridges[hall]: added\n"},
    {"machines: [a]}", "machines: [s]}", 0, "bridges[floor]: removed\nbridges[floor]: added\n"},
    {"chat, -v", "chat, -q", 1, "handlers[0].command: [chat, -v] → [chat, -q]: takes a restart\n"},
    {"processes: 2", "processes: 3", 1, "handlers[0].processes: 2 → 3: takes a restart\n"},
    {"deadline_ms: 100", "deadline_ms: 101", 1, "handlers[0].deadline_ms: 100 → 101: takes a restart\n"},
    {"stuck_ms: 200", "stuck_ms: 201", 1, "handlers[0].stuck_ms: 200 → 201: takes a restart\n"},
    {"socket: /far", "socket: /fur", 1, "handlers[1].socket: /far → /fur: takes a restart\n"},
    {"name: far", "name: fur", 1, "handlers[1].name: far → fur: takes a restart\n"},
    {"path: /chat", "path: /chut", 1, "endpoints[0].path: /chat → /chut: takes a restart\n"},
    {"handler: chat", "handler: far", 1, "endpoints[0].handler: chat → far: takes a restart\n"},
    {"/s.json", "/t.json", 1, "endpoints[0].schema: /s.json → /t.json: takes a restart\n"},
    {"/r.json", "/q.json", 1, "endpoints[0].reply_schema: /r.json → /q.json: takes a restart\n"},
    {"binary: false", "binary: true", 1, "endpoints[0].binary: false → true: takes a restart\n"},
    {"error_object: false", "error_object: true", 1,
     "endpoints[0].error_object: false → true: takes a restart\n"},
    {"kid: k1, alg: HS256, file: /k1}\n", "kid: k1, alg: HS256, file: /k1}\n  jwt: {sign_with: k1}\n", 0,
     "auth.jwt.sign_with: \"\" → k1\n"},
    /* order is no change, where entries have names */
    {"  - {name: far, socket: /far}\n", "  - {name: far, socket: /far}\n", 0, ""},
};

static void replace(const char *from, const char *to, char out[8192])
{
    const char *at = strstr(everything, from);
    if (at == NULL)
        fail_msg("the example lacks %s", from);
    snprintf(out, 8192, "%.*s%s%s", (int)(at - everything), everything, to, at + strlen(from));
}

static void every_key_of_an_entry_is_reported(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
        char text[8192];
        replace(replaced[i].from, replaced[i].to, text);
        size_t refused = changes(everything, text);
        if (refused != replaced[i].refused || strcmp(told, replaced[i].lines) != 0)
            fail_msg("%s → %s: %zu refused, told:\n%s", replaced[i].from, replaced[i].to, refused, told);
    }
}

/* For tokens and users alike: [] is none, no list is all. */
static void every_grant_is_reported(void **state)
{
    (void)state;
    static const char *const claims[] = {
#define X(NAME, claim, text) claim,
        GRANT_TABLE(X)
#undef X
    };
    static const struct {
        const char *entry, *name;
    } who[] = {{SHA "1", "auth.tokens[wms]"}, {"password: '" HASH "'", "auth.users[ana]"}};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        for (size_t k = 0; k < 2; k++) {
            char to[600], text[8192], line[200];
            if (k == 0 && strcmp(claims[i], "machines_command") == 0)
                continue; /* the example has it */
            snprintf(to, sizeof to, "%s, %s: []", who[k].entry, claims[i]);
            snprintf(line, sizeof line, "%s.%s: all of them → []\n", who[k].name, claims[i]);
            replace(who[k].entry, to, text);
            assert_int_equal(changes(everything, text), 0);
            assert_string_equal(told, line);
        }
}

/* With the tests above: nothing of the table is left out, and the column says what is done. */
static void check_seen(const struct conf_section *section, const char *path)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        char name[CONF_KEY_PATH_MAX];
        snprintf(name, sizeof name, "%s%s%s%s", path, *path != '\0' ? "." : "", key->key,
                 key->type == CONF_LIST ? "[]" : "");
        static const char *const otherwise[] = {
            "machines_from",        "profiles[].name",   "machines[].id",
            "auth.tokens[].sha256", "auth.users[].name", "auth.keys[].kid",
            "bridges[].from",       "bridges[].stream",  "bridges[].machines"};
        bool known_by = strstr(name, ".bits") != NULL;
        for (size_t k = 0; k < sizeof otherwise / sizeof *otherwise; k++)
            known_by |= strcmp(name, otherwise[k]) == 0;
        if (key->section != NULL) {
            if (!known_by)
                check_seen(key->section, name);
            continue;
        }
        bool found = known_by;
        for (size_t k = 0; k < seen_count && !known_by; k++)
            if (strcmp(seen[k], name) == 0) {
                found = true;
                assert_int_equal(seen_reloadable[k], key->reloadable);
            }
        if (!found)
            fail_msg("%s: was never changed by these tests", name);
    }
}

static void no_key_is_left_out(void **state)
{
    (void)state;
    check_seen(&conf_root_section, "");
}

static void secrets_are_not_told(void **state)
{
    (void)state;
    char text[8192];
    replace(HASH, HASH2, text);
    changes(everything, text);
    assert_null(strstr(told, "argon2"));
    replace(SHA "1", SHA "7", text);
    changes(everything, text);
    assert_null(strstr(told, SHA));
}

static void order_is_no_change_where_entries_have_names(void **state)
{
    (void)state;
    expect("machines: [{id: a, ip: 10.0.0.1}, {id: b, ip: 10.0.0.2}]",
           "machines: [{id: b, ip: 10.0.0.2}, {id: a, ip: 10.0.0.1}]", 0, "");
}

static void defaults_show_at_each_machine(void **state)
{
    (void)state;
    expect("machines: [{id: a, ip: 10.0.0.1}, {id: b, ip: 10.0.0.2, poll_interval_ms: 300}]",
           "machine_defaults: {poll_interval_ms: 400}\n"
           "machines: [{id: a, ip: 10.0.0.1}, {id: b, ip: 10.0.0.2, poll_interval_ms: 300}]",
           0, "machine_defaults.poll_interval_ms: 250 → 400\nmachines[a].poll_interval_ms: 250 → 400 @a\n");
}

/* The k-th simulated machine has the k-th port. */
static void simulators_that_move_are_told(void **state)
{
    (void)state;
    expect("machines: [{id: a, ip: 10.0.0.1, simulator: true}, {id: b, ip: 10.0.0.2, simulator: true}]",
           "machines: [{id: b, ip: 10.0.0.2, simulator: true}]", 0,
           "machines[a]: removed @a\nmachines[b].simulator: at port 3202 → at port 3201 @b\n");
}

static bool same(const char *was, const char *is)
{
    struct conf *a = conf_good("c.yaml", was), *b = conf_good("c.yaml", is);
    bool same = conf_machine_same(&a->machines[0], &b->machines[0]);
    conf_free(&a);
    conf_free(&b);
    return same;
}

static void an_agent_is_restarted_only_for_what_it_uses(void **state)
{
    (void)state;
    static const char machine[] = "machines: [{id: a, ip: 10.0.0.1}]";
    assert_true(same(machine, "log: {level: warn}\nmachines: [{id: a, ip: 10.0.0.1, name: Other}]"));
    assert_true(same(machine, "machines: [{id: a, ip: 10.0.0.1, mode: single}]"));
    assert_false(same(machine, "machines: [{id: a, ip: 10.0.0.2}]"));
    assert_false(same(machine, "machines: [{id: a, ip: 10.0.0.1, port: 3201}]"));
    assert_false(same(machine, "machines: [{id: a, ip: 10.0.0.1, poll_interval_ms: 300}]"));
    assert_false(same(machine, "machine_defaults: {rearm: automatic}\nmachines: [{id: a, ip: 10.0.0.1}]"));
    assert_false(same(machine, "machines: [{id: a, ip: 10.0.0.1, profile: delta-as}]"));
    assert_true(same("machines: [{id: a, ip: 10.0.0.1, simulator: true}]",
                     "machines: [{id: a, ip: 10.0.0.7, simulator: true, sim_positions: 7}]"));
    char text[8192];
    replace("text: moves", "text: goes", text);
    assert_false(same(everything, text));
    assert_true(same(everything, everything));
}

/* 4,096 machines and as many bridges, all in another order: by the names' map, not one by one. */
static void many_entries_take_no_time(void **state)
{
    (void)state;
    enum { MANY = 4096, BYTES = 140 };
    char *one = malloc(MANY * 2 * BYTES), *other = malloc(MANY * 2 * BYTES);
    assert_true(one != NULL && other != NULL);
    for (int way = 0; way < 2; way++) {
        char *text = way == 0 ? one : other;
        size_t len = (size_t)sprintf(text, "machines:\n");
        for (int i = 0; i < MANY; i++)
            len += (size_t)sprintf(text + len, "  - {id: m%d, ip: 10.0.0.1, port: %d}\n",
                                   way == 0 ? i : MANY - 1 - i, 3000 + (way == 0 ? i : MANY - 1 - i));
        len += (size_t)sprintf(text + len, "bridges:\n");
        for (int i = 0; i < MANY; i++)
            len += (size_t)sprintf(text + len, "  - {from: states, stream: floor, machines: [m%d]}\n",
                                   way == 0 ? i : MANY - 1 - i);
    }
    expect(one, other, 0, "");
    free(one);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_a_section_is_reported),
        cmocka_unit_test(every_key_of_an_entry_is_reported),
        cmocka_unit_test(every_grant_is_reported),
        cmocka_unit_test(values_are_told_as_they_are_written),
        cmocka_unit_test(workers_are_counted_as_they_are_written),
        cmocka_unit_test(a_default_that_is_written_out_is_no_change),
        cmocka_unit_test(no_key_is_left_out),
        cmocka_unit_test(secrets_are_not_told),
        cmocka_unit_test(order_is_no_change_where_entries_have_names),
        cmocka_unit_test(defaults_show_at_each_machine),
        cmocka_unit_test(simulators_that_move_are_told),
        cmocka_unit_test(an_agent_is_restarted_only_for_what_it_uses),
        cmocka_unit_test(many_entries_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
