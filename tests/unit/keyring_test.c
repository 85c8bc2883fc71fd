/* keyring: keys out of their files: what is refused and why, and the one that is made. Keys are made by libcrypto here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "keyring.h"

static char directory[64], told[8192];

static void collect(void *arg, const char *text)
{
    (void)arg;
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s\n", text);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t len, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
    chmod(path_of(name), mode);
}

static void put_pem(const char *name, EVP_PKEY *pkey, bool secret, const char *password, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    if (secret)
        assert_int_equal(PEM_write_PrivateKey(file, pkey, password != NULL ? EVP_aes_128_cbc() : NULL, NULL,
                                              0, NULL, (void *)(uintptr_t)password),
                         1);
    else
        assert_int_equal(PEM_write_PUBKEY(file, pkey), 1);
    fclose(file);
    chmod(path_of(name), mode);
    EVP_PKEY_free(pkey);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/keyring.XXXXXX");
    told[0] = '\0';
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

/* A configuration with these keys, its state below the directory. */
static struct conf *conf_with(const char *auth, const char *rest)
{
    struct conf *conf;
    char text[4000], name[128];
    snprintf(name, sizeof name, "%s/c.yaml", directory);
    snprintf(text, sizeof text, "state_dir: %s/state\nauth: %s\nlisteners: [{name: a%s}]\n", directory, auth,
             rest);
    if (conf_load_text(name, text, strlen(text), collect, NULL, &conf) != ERR_OK)
        fail_msg("%s", told);
    return conf;
}

static void refuses(const char *key, const char *fault)
{
    struct keyring *keyring;
    char auth[300], expected[600];
    told[0] = '\0';
    snprintf(auth, sizeof auth, "{keys: [{kid: k, %s}]}", key);
    struct conf *conf = conf_with(auth, "");
    assert_int_equal(keyring_load(conf, true, collect, NULL, &keyring), ERR_CONFIG);
    assert_null(keyring);
    snprintf(expected, sizeof expected, "%s/c.yaml: auth.keys: %s %s\n", directory, conf->jwt_keys[0].file,
             fault);
    assert_string_equal(told, expected);
    conf_free(&conf);
}

static struct keyring *loads(struct conf *conf)
{
    struct keyring *keyring;
    told[0] = '\0';
    if (keyring_load(conf, true, collect, NULL, &keyring) != ERR_OK)
        fail_msg("%s", told);
    return keyring;
}

static const char secret[] = "0123456789abcdef0123456789abcdef";

/* --- secrets ------------------------------------------------------------------------------------------------------- */

static void secrets(void **state)
{
    (void)state;
    put("good", "0123456789abcdef0123456789abcdef\r\n\n", 35, 0600);
    put("binary", "\0\1\2\3\4\5\6\7\0\1\2\3\4\5\6\7\0\1\2\3\4\5\6\7\0\1\2\3\4\5\6\n7", 33, 0400);
    struct conf *conf =
        conf_with("{keys: [{kid: a, alg: HS256, file: good}, {kid: b, alg: HS256, file: binary}],"
                  "jwt: {sign_with: b}}",
                  "");
    struct keyring *keyring = loads(conf);
    assert_int_equal(keyring->count, 2);
    assert_int_equal(keyring->keys[0].verify_len, 32);
    assert_memory_equal(keyring->keys[0].verify, secret, 32);
    assert_int_equal(keyring->keys[1].sign_len, 33);
    assert_ptr_equal(keyring->signer, &keyring->keys[1]);
    assert_ptr_equal(keyring_find(keyring, "a"), &keyring->keys[0]);
    assert_null(keyring_find(keyring, "c"));
    keyring_free(&keyring);
    keyring_free(&keyring); /* twice is nothing */
    conf_free(&conf);
}

static void bad_secrets(void **state)
{
    (void)state;
    char large[20000];
    memset(large, 'a', sizeof large);
    refuses("alg: HS256, file: nowhere", "cannot be opened: No such file or directory");
    refuses("alg: HS256, file: .", "is not a regular file");
    put("short", secret, 31, 0600);
    refuses("alg: HS256, file: short",
            "is 31 bytes long, expected at least 32 of randomness: openssl rand -hex 32");
    put("lines", "0123456789abcdef0123456789abcde\n\n\n\n", 35, 0600);
    refuses("alg: HS256, file: lines",
            "is 31 bytes long, expected at least 32 of randomness: openssl rand -hex 32");
    put("large", large, sizeof large, 0600);
    refuses("alg: HS256, file: large", "is longer than 16384 bytes");
    put("pem", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 59, 0600);
    refuses("alg: HS256, file: pem", "holds PEM, expected the secret itself, which HS256 needs");
    static const mode_t modes[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < 4; i++) {
        char fault[200];
        put("open", secret, 32, modes[i]);
        snprintf(fault, sizeof fault,
                 "is a secret that others have access to (mode %04o), expected its owner alone: chmod 600",
                 modes[i]);
        refuses("alg: HS256, file: open", fault);
    }
}

/* --- PEM ----------------------------------------------------------------------------------------------------------- */

static void pairs_of_keys(void **state)
{
    (void)state;
    put_pem("rsa", EVP_RSA_gen(2048), true, NULL, 0600);
    put_pem("rsa.pub", EVP_RSA_gen(2048), false, NULL, 0644);
    put_pem("ec", EVP_EC_gen("P-256"), true, NULL, 0400);
    put_pem("ec.pub", EVP_EC_gen("P-256"), false, NULL, 0444);
    struct conf *conf =
        conf_with("{keys: [{kid: r, alg: RS256, file: rsa}, {kid: rp, alg: RS256, file: rsa.pub},"
                  "{kid: e, alg: ES256, file: ec}, {kid: ep, alg: ES256, file: ec.pub}]}",
                  "");
    struct keyring *keyring = loads(conf);
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(keyring->keys[i].verify, "-----BEGIN PUBLIC KEY-----", 26);
        assert_int_equal(keyring->keys[i].sign != NULL, i % 2 == 0);
        if (i % 2 == 0)
            assert_memory_equal(keyring->keys[i].sign, "-----BEGIN PRIVATE KEY-----", 27);
    }
    assert_ptr_equal(keyring->signer, &keyring->keys[0]);
    keyring_free(&keyring);
    conf_free(&conf);
}

static void bad_pairs(void **state)
{
    (void)state;
    static const char no_pem[] = "holds no PEM of a public or of an unencrypted private key";
    put("junk", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 57, 0600);
    refuses("alg: RS256, file: junk", no_pem);
    put("secret", secret, 32, 0600);
    refuses("alg: ES256, file: secret", no_pem);
    put("nothing", "", 0, 0600);
    refuses("alg: ES256, file: nothing", no_pem);
    put_pem("small", EVP_RSA_gen(1024), false, NULL, 0644);
    refuses("alg: RS256, file: small", "holds an RSA key of less than 2048 bits");
    put_pem("p384", EVP_EC_gen("P-384"), false, NULL, 0644);
    refuses("alg: ES256, file: p384", "holds no P-256 key, which ES256 needs");
    put_pem("ec", EVP_EC_gen("P-256"), true, NULL, 0600);
    refuses("alg: RS256, file: ec", "holds no RSA key, which RS256 needs");
    put_pem("rsa", EVP_RSA_gen(2048), false, NULL, 0644);
    refuses("alg: ES256, file: rsa", "holds no P-256 key, which ES256 needs");
    put_pem("locked", EVP_EC_gen("P-256"), true, "a password", 0600);
    refuses("alg: ES256, file: locked", no_pem); /* and nobody is asked at the terminal */
    put_pem("shown", EVP_EC_gen("P-256"), true, NULL, 0644);
    refuses("alg: ES256, file: shown",
            "is a secret that others have access to (mode 0644), expected its owner alone: chmod 600");
    put_pem("writable", EVP_EC_gen("P-256"), false, NULL, 0664);
    refuses("alg: ES256, file: writable", "can be written by others (mode 0664): chmod 644");
}

#define USER "users: [{name: a, password: \"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng\"}]"

static void who_logs_in_needs_a_key_that_signs(void **state)
{
    (void)state;
    char expected[300];
    struct keyring *keyring;
    put_pem("ec.pub", EVP_EC_gen("P-256"), false, NULL, 0644);
    struct conf *conf = conf_with("{" USER ", keys: [{kid: ep, alg: ES256, file: ec.pub}]}", "");
    assert_int_equal(keyring_load(conf, true, collect, NULL, &keyring), ERR_CONFIG);
    snprintf(
        expected, sizeof expected,
        "%s/c.yaml: auth.jwt.sign_with: the key ep signs the tokens of those who log in, and its file holds "
        "only the public half\n",
        directory);
    assert_string_equal(told, expected);
    conf_free(&conf);
    conf = conf_with("{keys: [{kid: ep, alg: ES256, file: ec.pub}]}", ""); /* nobody logs in */
    keyring = loads(conf);
    assert_null(keyring->signer);
    keyring_free(&keyring);
    conf_free(&conf);
}

/* --- the one that is made ------------------------------------------------------------------------------------------- */

static void one_is_made_where_it_is_wanted(void **state)
{
    (void)state;
    struct stat info;
    struct conf *conf = conf_with("{}", "");
    struct keyring *keyring = loads(conf);
    assert_int_equal(keyring->count, 0);
    assert_null(keyring->signer);
    keyring_free(&keyring);
    conf_free(&conf);
    assert_int_not_equal(stat(path_of("state"), &info), 0);
    conf = conf_with("{" USER "}", "");
    assert_int_equal(keyring_load(conf, false, collect, NULL, &keyring),
                     ERR_OK); /* who only looks makes nothing */
    assert_int_equal(keyring->count, 0);
    keyring_free(&keyring);
    assert_int_not_equal(stat(path_of("state"), &info), 0);
    keyring = loads(conf);
    assert_int_equal(keyring->count, 1);
    assert_string_equal(keyring->keys[0].kid, "hs256");
    assert_int_equal(keyring->keys[0].verify_len, 64);
    assert_ptr_equal(keyring->signer, &keyring->keys[0]);
    assert_int_equal(stat(path_of("state/auth/hs256.key"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_nlink, 1); /* nothing stays beside it */
    assert_int_equal(stat(path_of("state/auth"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    struct keyring *again = loads(conf);
    assert_memory_equal(again->keys[0].verify, keyring->keys[0].verify, 64);
    keyring_free(&again);
    keyring_free(&keyring);
    conf_free(&conf);
    conf = conf_with("{}", ""); /* what is there is taken, wanted or not */
    keyring = loads(conf);
    assert_int_equal(keyring->count, 1);
    keyring_free(&keyring);
    conf_free(&conf);
    chmod(path_of("state/auth/hs256.key"), 0644);
    conf = conf_with("{" USER "}", "");
    assert_int_equal(keyring_load(conf, true, collect, NULL, &keyring), ERR_CONFIG);
    assert_non_null(strstr(told, "mode 0644"));
    conf_free(&conf);
}

static void one_that_cannot_be_made_is_told(void **state)
{
    (void)state;
    struct keyring *keyring;
    put("state", "", 0, 0600); /* a file where a directory has to be */
    struct conf *conf = conf_with("{" USER "}", "");
    assert_int_equal(keyring_load(conf, true, collect, NULL, &keyring), ERR_CONFIG);
    assert_non_null(strstr(told, "hs256.key cannot be opened: Not a directory\n"));
    conf_free(&conf);
    conf = conf_with("{}", ""); /* nobody needs one: nobody is told */
    keyring = loads(conf);
    assert_int_equal(keyring->count, 0);
    keyring_free(&keyring);
    conf_free(&conf);
}

/* Sixteen processes come at once, and all have the same key. */
static void who_comes_first(void **state)
{
    (void)state;
    struct conf *conf = conf_with("{" USER "}", ", dialects: [channels]");
    int gate[2], results[2];
    assert_int_equal(pipe(gate) | pipe(results), 0);
    for (int i = 0; i < 16; i++) {
        if (fork() != 0)
            continue;
        char go;
        struct keyring *keyring;
        close(gate[1]);
        ssize_t n = read(gate[0], &go, 1); /* the end: all are there */
        if (keyring_load(conf, true, collect, NULL, &keyring) == ERR_OK)
            n = write(results[1], keyring->keys[0].verify, 64);
        _exit(n == 64 ? 0 : 1);
    }
    close(gate[0]);
    close(gate[1]);
    char first[64], other[64];
    assert_int_equal(read(results[0], first, 64), 64);
    for (int i = 1; i < 16; i++) {
        assert_int_equal(read(results[0], other, 64), 64);
        assert_memory_equal(first, other, 64);
    }
    for (int status, i = 0; i < 16; i++)
        assert_true(wait(&status) > 0 && status == 0);
    char command[128];
    snprintf(command, sizeof command, "test $(ls -A %s/state/auth | wc -l) = 1", directory);
    assert_int_equal(system(command), 0);
    close(results[0]);
    close(results[1]);
    conf_free(&conf);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(secrets),
        CASE(bad_secrets),
        CASE(pairs_of_keys),
        CASE(bad_pairs),
        CASE(who_logs_in_needs_a_key_that_signs),
        CASE(one_is_made_where_it_is_wanted),
        CASE(one_that_cannot_be_made_is_told),
        CASE(who_comes_first),
    };
    return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
