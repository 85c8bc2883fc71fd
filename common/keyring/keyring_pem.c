/* keyring_pem.c — PEM to what libjwt takes (keyring.h): the public key to verify with and, if the file has the private one, that to sign with,
 * written anew, so that no file decides how libjwt reads it (it would ask the terminal for a password, and verifies with nothing but a
 * SubjectPublicKeyInfo). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "keyring_internal.h"

static int no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_pem(const struct keyring_bytes *bytes, bool *secret)
{
    BIO *bio = BIO_new_mem_buf(bytes->at, (int)bytes->len);
    EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    *secret = pkey != NULL;
    if (pkey == NULL && bio != NULL && BIO_reset(bio) == 1)
        pkey = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return pkey;
}

static bool is_p256(const EVP_PKEY *pkey)
{
    char group[32];
    size_t len;
    return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) == 1 && strcmp(group, "prime256v1") == 0;
}

/* NULL: the key is fit for its algorithm. */
static const char *unfit(const EVP_PKEY *pkey, enum conf_alg_e alg)
{
    int bits = EVP_PKEY_get_bits(pkey);
    if (alg == CONF_ES256)
        return is_p256(pkey) ? NULL : "holds no P-256 key, which ES256 needs";
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
        return "holds no RSA key, which RS256 needs";
    if (bits < (int)KEYRING_RSA_MIN)
        return "holds an RSA key of less than 2048 bits";
    return bits > (int)KEYRING_RSA_MAX ? "holds an RSA key of more than 4096 bits" : NULL;
}

/* What was written, out of OpenSSL's memory, which is wiped. */
static bool take_bio(BIO *bio, unsigned char **bytes, size_t *len)
{
    char *at;
    long n = BIO_get_mem_data(bio, &at);
    *bytes = n > 0 ? malloc((size_t)n) : NULL;
    if (*bytes == NULL)
        return false;
    memcpy(*bytes, at, (size_t)n);
    OPENSSL_cleanse(at, (size_t)n);
    *len = (size_t)n;
    return true;
}

static bool write_pem(struct keyring_key *key, EVP_PKEY *pkey, bool secret)
{
    BIO *public = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_mem());
    bool done = public != NULL && private != NULL && PEM_write_bio_PUBKEY(public, pkey) == 1 &&
                take_bio(public, &key->verify, &key->verify_len);
    if (done && secret)
        done = PEM_write_bio_PKCS8PrivateKey(private, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
               take_bio(private, &key->sign, &key->sign_len);
    BIO_free(public);
    BIO_free(private);
    return done;
}

enum err_e keyring_pem(struct keyring_key *key, const struct keyring_bytes *bytes, bool *secret,
                       char fault[KEYRING_FAULT_MAX])
{
    EVP_PKEY *pkey = read_pem(bytes, secret);
    const char *why =
        pkey != NULL ? unfit(pkey, key->alg) : "holds no PEM of a public or of an unencrypted private key";
    if (why != NULL)
        snprintf(fault, KEYRING_FAULT_MAX, "%s", why);
    enum err_e err = why != NULL ? ERR_CONFIG : write_pem(key, pkey, *secret) ? ERR_OK : ERR_MEMORY;
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return err;
}
