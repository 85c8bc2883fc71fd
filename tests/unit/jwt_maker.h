/* jwt_maker.h — JWTs, good and bad, made without libjwt and without the code under test: header and payload as texts, signatures by libcrypto. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define JWT_MAKER_MAX 8192

static inline size_t jwt_base64url(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in = bytes;
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        unsigned group = (unsigned)in[i] << 16 | (i + 1 < len ? (unsigned)in[i + 1] << 8 : 0) |
                         (i + 2 < len ? in[i + 2] : 0u);
        for (size_t k = 0; k < 4 && i + k <= len; k++)
            out[n++] = digits[group >> (18 - 6 * k) & 63];
    }
    out[n] = '\0';
    return n;
}

struct jwt_signer { /* one of both */
    const char *secret;
    EVP_PKEY *pkey;
};

static inline size_t jwt_sign(const struct jwt_signer *signer, const char *data,
                              unsigned char signature[1024])
{
    size_t len = 1024;
    unsigned hmac_len = 0;
    if (signer->secret != NULL) {
        HMAC(EVP_sha256(), signer->secret, (int)strlen(signer->secret), (const unsigned char *)data,
             strlen(data), signature, &hmac_len);
        return hmac_len;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->pkey), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &len, (const unsigned char *)data, strlen(data)), 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_get_base_id(signer->pkey) != EVP_PKEY_EC)
        return len;
    const unsigned char *der = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32), 32);
    ECDSA_SIG_free(sig);
    return 64;
}

/* Good until the next call. */
static inline const char *jwt_token(const struct jwt_signer *signer, const char *header, const char *payload)
{
    static char token[JWT_MAKER_MAX];
    unsigned char signature[1024];
    size_t len = jwt_base64url(header, strlen(header), token);
    token[len++] = '.';
    len += jwt_base64url(payload, strlen(payload), token + len);
    size_t signature_len = jwt_sign(signer, token, signature);
    token[len++] = '.';
    jwt_base64url(signature, signature_len, token + len);
    return token;
}

static inline void jwt_put_file(const char *path, const void *bytes, size_t len, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
    chmod(path, mode);
}

static inline void jwt_put_key(const char *path, EVP_PKEY *pkey, bool secret)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(secret ? PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL)
                            : PEM_write_PUBKEY(file, pkey),
                     1);
    fclose(file);
    chmod(path, secret ? 0600 : 0644);
}
