/* conf_auth.c — who may come, with what, and what for: tokens, users, keys of JWTs, and their grants.
 *
 * That a key's file can be opened is looked at here, where the line is known; what stands in it, and who else may read it, is the business of
 * who reads it (keyring.h), so that no process holds a secret that it does not need. A password's hash is never quoted in a message: people put the
 * password there. Names of machines in grants need not exist, because machines come later; one that does not is worth a warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_check.h"
#include "conf_load.h"
#include "conf_near.h"
#include "entities.h"
#include "hash.h"
#include "map.h"
#include "must.h"

/* --- grants ------------------------------------------------------------------------------------------------------ */

struct raw_grant {
    const char *claim;
    char **names;
    size_t count;
};

static const char *const entity_types[] = {
#define X(NAME, english, spanish, type, channel) type,
    ENTITY_TABLE(X)
#undef X
};

static void check_entity(struct conf_load *load, const char *name, struct conf_place place)
{
    for (size_t i = 0; i < ARRAY_LEN(entity_types); i++)
        if (strcmp(entity_types[i], name) == 0)
            return;
    const char *near = conf_near(name, entity_types, ARRAY_LEN(entity_types));
    conf_problem_at(&load->problems, place, "",
                    "%.60s is not one of sensor, lectura, ubicacion, anomalia, prediccion%s%s%s", name,
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static void check_name(struct conf_load *load, enum grant_e kind, const char *name, struct conf_place place)
{
    size_t len = strlen(name);
    bool entity = kind == GRANT_ENTITIES_READ || kind == GRANT_ENTITIES_WRITE;
    bool machine = kind == GRANT_MACHINES_VIEW || kind == GRANT_MACHINES_COMMAND;
    if (len == 0)
        return; /* told already */
    if (strcmp(name, GRANT_ALL) == 0)
        conf_problem_at(&load->problems, place, "",
                        "* stands beside other names, expected it alone: it means all of them");
    else if (entity)
        check_entity(load, name, place);
    else if (machine && !machine_id_valid(name, len))
        conf_problem_at(&load->problems, place, "", "%.70s is not an id (1 to 64 of A-Z a-z 0-9 _ . : -)",
                        name);
    else if (kind == GRANT_CHANNELS && !channel_name_is_valid(name, len))
        conf_problem_at(&load->problems, place, "", "%.70s is not a channel (1 to 64 of A-Z a-z 0-9 _ . : -)",
                        name);
}

static enum err_e fill_grant(struct conf_load *load, enum grant_e kind, const struct raw_grant *raw,
                             struct conf_place place, struct conf_grant *grant)
{
    struct conf_place list = conf_child(place, raw->claim), places[GRANT_NAMES_MAX];
    if (list.node == CONF_NO_NODE) {
        grant->all = true;
        return ERR_OK;
    }
    enum err_e err = conf_fill_words(load, &conf_granted_key, raw->names, raw->count, list, &grant->names);
    if (err != ERR_OK)
        return err;
    grant->count = raw->count;
    grant->all = raw->count == 1 && strcmp(grant->names[0], GRANT_ALL) == 0;
    conf_places(list, raw->count, places);
    for (size_t i = 0; i < raw->count && !grant->all; i++)
        check_name(load, kind, grant->names[i], places[i]);
    return ERR_OK;
}

static enum err_e fill_grants(struct conf_load *load, const struct raw_grant raw[GRANT_COUNT],
                              struct conf_place place, struct conf_grant grants[GRANT_COUNT])
{
    enum err_e err = ERR_OK;
    for (unsigned g = 0; g < GRANT_COUNT && err == ERR_OK; g++)
        err = fill_grant(load, (enum grant_e)g, &raw[g], place, &grants[g]);
    return err;
}

#define RAW_GRANT(NAME, claim, text) {claim, raw->granted_##NAME, raw->granted_##NAME##_count},

/* --- tokens ------------------------------------------------------------------------------------------------------ */

static void check_token(struct conf_load *load, size_t i, struct conf_place place)
{
    const struct conf_token *tokens = load->owner->draft.conf.tokens, *token = &tokens[i];
    static const unsigned char none[sizeof token->sha256];
    if (memcmp(token->sha256, none, sizeof none) == 0)
        return; /* told already */
    for (size_t other = 0; other < i; other++)
        if (memcmp(tokens[other].sha256, token->sha256, sizeof token->sha256) == 0)
            conf_problem_at(&load->problems, place, "sha256", "is the token of auth.tokens[%zu] too", other);
}

static enum err_e fill_token(struct conf_load *load, size_t i, struct conf_place place)
{
    struct conf_token *token = &load->owner->draft.conf.tokens[i];
    const struct raw_token *raw = &load->owner->raw->auth.tokens[i];
    const struct raw_grant grants[GRANT_COUNT] = {GRANT_TABLE(RAW_GRANT)};
    conf_section_apply(&conf_token_section, raw, &load->outline, place.node, token, &load->problems);
    check_token(load, i, place);
    return fill_grants(load, grants, place, token->grants);
}

/* --- users ------------------------------------------------------------------------------------------------------- */

static void check_cost(struct conf_load *load, const struct conf_user *user, struct conf_place place)
{
    struct conf_argon2 cost;
    if (user->password == NULL || !conf_argon2(user->password, &cost))
        return; /* told already */
    if (cost.kib > CONF_ARGON2_KIB_MAX || cost.passes > CONF_ARGON2_PASSES_MAX ||
        cost.lanes > CONF_ARGON2_LANES_MAX || (uint64_t)cost.kib * cost.passes > CONF_ARGON2_WORK_MAX)
        conf_problem_at(
            &load->problems, place, "password",
            "costs m=%u,t=%u,p=%u for each attempt to log in, at most m=%u,t=%u,p=%u and m × t = %u may "
            "be: `noria hash-password` makes another",
            cost.kib, cost.passes, cost.lanes, CONF_ARGON2_KIB_MAX, CONF_ARGON2_PASSES_MAX,
            CONF_ARGON2_LANES_MAX, CONF_ARGON2_WORK_MAX);
}

static size_t json_bytes(const char *text)
{
    size_t bytes = sizeof "\"\"," - 1;
    for (; *text != '\0'; text++)
        bytes += *text == '"' || *text == '\\' ? 2 : 1;
    return bytes;
}

/* They travel in each of the user's tokens, of which a request's head has to have room for one. */
#define USER_GRANTS_MAX 1536u

static void check_size(struct conf_load *load, const struct conf_user *user, struct conf_place place)
{
    size_t bytes = 0;
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        for (size_t i = 0; i < user->grants[g].count; i++)
            bytes += json_bytes(user->grants[g].names[i]);
    if (bytes > USER_GRANTS_MAX)
        conf_problem_at(&load->problems, place, "",
                        "its lists take %zu bytes of a token, at most %u may be: name fewer, or all of them",
                        bytes, USER_GRANTS_MAX);
}

static enum err_e fill_user(struct conf_load *load, size_t i, struct conf_place place)
{
    struct conf_user *users = load->owner->draft.conf.users, *user = &users[i];
    const struct raw_user *raw = &load->owner->raw->auth.users[i];
    const struct raw_grant grants[GRANT_COUNT] = {GRANT_TABLE(RAW_GRANT)};
    conf_section_apply(&conf_user_section, raw, &load->outline, place.node, user, &load->problems);
    for (size_t other = 0; other < i && user->name != NULL; other++)
        if (users[other].name != NULL && strcmp(users[other].name, user->name) == 0)
            conf_problem_at(&load->problems, place, "name", "%s is the name of auth.users[%zu] too",
                            user->name, other);
    check_cost(load, user, place);
    enum err_e err = fill_grants(load, grants, place, user->grants);
    if (err == ERR_OK)
        check_size(load, user, place);
    return err;
}

void conf_check_login(struct conf_load *load, const struct conf_place *places)
{
    const struct conf *conf = &load->owner->draft.conf;
    const struct conf_user *local = NULL;
    for (size_t i = 0; i < conf->user_count && local == NULL; i++)
        local = conf->users[i].loopback_only ? &conf->users[i] : NULL;
    for (size_t i = 0; i < conf->listener_count && local != NULL; i++)
        if (conf_speaks(&conf->listeners[i], "channels", NULL) &&
            !conf_is_loopback(conf->listeners[i].address))
            conf_problem_at(
                &load->problems, places[i], "address",
                "%s can be reached from other hosts, and the user %s, who may log in here, has "
                "loopback_only: give a better password and take that away, or bind 127.0.0.1 or ::1",
                conf->listeners[i].address, local->name != NULL ? local->name : "");
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static enum err_e look_at_file(struct conf_load *load, const char *path, struct conf_place place)
{
    struct stat info;
    char fault[CONF_FAULT_MAX] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        snprintf(fault, sizeof fault, "cannot be opened: %s", strerror(errno));
    else if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        snprintf(fault, sizeof fault, "is not a regular file");
    if (fd >= 0)
        close(fd);
    return fault[0] != '\0' ? conf_note_unreadable(load, place, "file", path, fault) : ERR_OK;
}

static enum err_e fill_key(struct conf_load *load, size_t i, struct conf_place place)
{
    struct conf *conf = &load->owner->draft.conf;
    struct conf_jwt_key *keys = conf->jwt_keys, *key = &keys[i];
    conf_section_apply(&conf_jwt_key_section, &load->owner->raw->auth.keys[i], &load->outline, place.node,
                       key, &load->problems);
    for (size_t other = 0; other < i && key->kid != NULL; other++)
        if (keys[other].kid != NULL && strcmp(keys[other].kid, key->kid) == 0)
            conf_problem_at(&load->problems, place, "kid", "%s is the kid of auth.keys[%zu] too", key->kid,
                            other);
    if (key->file == NULL)
        return ERR_OK; /* told already */
    key->file = conf_own_beside(load->owner, conf->directory, strlen(conf->directory), key->file);
    if (key->file == NULL)
        return ERR_MEMORY;
    return load->pure ? ERR_OK : look_at_file(load, key->file, place);
}

static void check_sign_with(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    struct conf_place place = conf_child(conf_child(conf_root(load), "auth"), "jwt");
    const char *kids[CONF_JWT_KEYS_MAX], *name = conf->jwt_sign_with;
    size_t count = 0;
    for (size_t i = 0; i < conf->jwt_key_count; i++) {
        if (conf->jwt_keys[i].kid == NULL)
            return;
        kids[count++] = conf->jwt_keys[i].kid;
        if (strcmp(conf->jwt_keys[i].kid, name) == 0)
            return;
    }
    if (name[0] == '\0')
        return;
    const char *near = conf_near(name, kids, count);
    conf_problem_at(&load->problems, place, "sign_with", "there is no key %s in auth.keys%s%s%s", name,
                    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

typedef enum err_e fill_f(struct conf_load *load, size_t i, struct conf_place place);

static enum err_e fill_list(struct conf_load *load, const char *key, size_t count, fill_f *fill)
{
    struct conf_place *places = calloc(count + 1, sizeof *places);
    if (places == NULL)
        return ERR_MEMORY;
    enum err_e err = ERR_OK;
    conf_places(conf_child(conf_child(conf_root(load), "auth"), key), count, places);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = fill(load, i, places[i]);
    free(places);
    return err;
}

enum err_e conf_fill_auth(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_auth *raw = &load->owner->raw->auth;
    conf->tokens = conf_own(load->owner, (raw->tokens_count + 1u) * sizeof *conf->tokens);
    conf->users = conf_own(load->owner, (raw->users_count + 1u) * sizeof *conf->users);
    conf->jwt_keys = conf_own(load->owner, (raw->keys_count + 1u) * sizeof *conf->jwt_keys);
    if (conf->tokens == NULL || conf->users == NULL || conf->jwt_keys == NULL)
        return ERR_MEMORY;
    conf->token_count = raw->tokens_count;
    conf->user_count = raw->users_count;
    conf->jwt_key_count = raw->keys_count;
    enum err_e err = fill_list(load, "tokens", conf->token_count, fill_token);
    if (err == ERR_OK)
        err = fill_list(load, "users", conf->user_count, fill_user);
    if (err == ERR_OK)
        err = fill_list(load, "keys", conf->jwt_key_count, fill_key);
    if (err == ERR_OK)
        check_sign_with(load);
    return err;
}

/* --- worth a look ------------------------------------------------------------------------------------------------ */

static bool any_needs_token(const struct conf *conf)
{
    for (size_t i = 0; i < conf->listener_count; i++)
        if (conf->listeners[i].auth_required)
            return true;
    return conf_serves(conf, "channels"); /* where some paths always do */
}

/* A token or a user, of whom only the first machine that there is not is told. */
static void look_at_grants(struct conf_load *load, const struct map *machines,
                           const struct conf_grant grants[GRANT_COUNT], struct conf_place place)
{
    static const char *const claims[] = {
#define G(NAME, claim, text) claim,
        GRANT_TABLE(G)
#undef G
    };
    for (unsigned g = GRANT_MACHINES_VIEW; g <= GRANT_MACHINES_COMMAND; g++)
        for (size_t i = 0; i < grants[g].count && !grants[g].all; i++) {
            const char *name = grants[g].names[i];
            if (map_get(machines, hash_bytes(name, strlen(name), 1) | 1) == NULL) {
                conf_warn(load, place, claims[g], "there is no machine %s now", name);
                return;
            }
        }
}

/* Without memory nothing is looked at. */
static void look_at_names(struct conf_load *load, struct conf_place auth)
{
    const struct conf *conf = &load->owner->draft.conf;
    size_t count = conf->token_count > conf->user_count ? conf->token_count : conf->user_count;
    struct conf_place *places = calloc(count + 1, sizeof *places);
    struct map machines;
    map_init(&machines);
    bool memory = places != NULL && map_reserve(&machines, conf->machine_count) == ERR_OK;
    for (size_t i = 0; memory && i < conf->machine_count; i++) {
        const char *id = conf->machines[i].info.id;
        memory = map_put(&machines, hash_bytes(id, strlen(id), 1) | 1, &conf->machines[i]) == ERR_OK;
    }
    if (memory)
        conf_places(conf_child(auth, "tokens"), conf->token_count, places);
    for (size_t i = 0; memory && i < conf->token_count; i++)
        look_at_grants(load, &machines, conf->tokens[i].grants, places[i]);
    if (memory)
        conf_places(conf_child(auth, "users"), conf->user_count, places);
    for (size_t i = 0; memory && i < conf->user_count; i++)
        look_at_grants(load, &machines, conf->users[i].grants, places[i]);
    map_fini(&machines);
    free(places);
}

void conf_look_at_auth(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    struct conf_place auth = conf_child(conf_root(load), "auth");
    if (conf->token_count + conf->jwt_key_count > 0 && !any_needs_token(conf))
        conf_warn(load, conf_root(load), "auth", "no listener asks for these tokens (auth: token)");
    if (conf->user_count > 0 && !conf_serves(conf, "channels"))
        conf_warn(load, auth, "users",
                  "nobody can log in: no listener has channels among its dialects, where /auth/login is");
    look_at_names(load, auth);
}
