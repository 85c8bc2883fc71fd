/* keyring_internal.h — what keyring's files share; private to this module. */
#pragma once

#include "keyring.h"

#define KEYRING_FAULT_MAX 200
#define KEYRING_PATH_MAX  4200

struct keyring_bytes {
    unsigned char *at;
    size_t len;
    unsigned mode; /* of the file, its permissions */
};

/* keyring_file.c. ERR_CONFIG: `fault`; ERR_NOT_FOUND: `fault`, too; ERR_MEMORY. */
enum err_e keyring_read(const char *path, struct keyring_bytes *bytes, char fault[KEYRING_FAULT_MAX]);
void keyring_wipe(unsigned char **bytes, size_t len);
/* <state_dir>/auth/hs256.key. ERR_OK also if somebody else made it meanwhile; ERR_SYSTEM: `fault`. */
void keyring_own_path(const struct conf *conf, char path[KEYRING_PATH_MAX]);
enum err_e keyring_make(const struct conf *conf, char fault[KEYRING_FAULT_MAX]);

/* keyring_pem.c: fills verify and sign of a key whose alg says RSA or EC. *secret: there is a private key. ERR_CONFIG: `fault`; ERR_MEMORY. */
enum err_e keyring_pem(struct keyring_key *key, const struct keyring_bytes *bytes, bool *secret,
                       char fault[KEYRING_FAULT_MAX]);
