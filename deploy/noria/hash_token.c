/* hash_token.c — see hash_token.h.
 *
 * A plain SHA-256 is enough for random tokens and for nothing else: a token that people thought up can be guessed from
 * its sum, so one that looks like it is accepted with a warning.
 */
#include "hash_token.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "conf.h"
#include "must.h"
#include "proc.h"

#define NEW_BYTES   24 /* 192 bits, 32 characters */
#define GOOD_LENGTH 22 /* 128 bits in base64 */

/* Base64url (RFC 4648, 5): every character may stand in a URL, a header and a WebSocket subprotocol. */
static bool make_token(char token[CONF_TOKEN_MAX + 2])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[NEW_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t i = 0; i < NEW_BYTES; i += 3) {
        uint32_t group = (uint32_t)random[i] << 16 | (uint32_t)random[i + 1] << 8 | random[i + 2];
        for (unsigned k = 0; k < 4; k++)
            *token++ = digits[group >> (18 - 6 * k) & 63];
    }
    *token = '\0';
    return true;
}

static const char *fault_of(const char *token)
{
    size_t len = strlen(token);
    if (len == 0)
        return "no token found on standard input";
    if (len > CONF_TOKEN_MAX)
        return "the token is longer than 512 bytes";
    for (; *token != '\0'; token++)
        if (*token <= ' ' || *token > '~')
            return "the token holds a space, control character or byte beyond ASCII: no client could send it";
    return NULL;
}

/* It becomes part of a line of YAML. */
static bool is_principal(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return len > 0 && len <= 64 && name[len] == '\0';
}

static void read_token(FILE *in, char token[CONF_TOKEN_MAX + 2])
{
    size_t len = fread(token, 1, CONF_TOKEN_MAX + 1, in);
    while (len > 0 && (token[len - 1] == '\n' || token[len - 1] == '\r'))
        len--;
    token[len] = '\0';
    if (memchr(token, '\0', len) != NULL) /* would be cut short there */
        token[0] = '\x01';
}

static bool weak(const char *token)
{
    return strlen(token) < GOOD_LENGTH;
}

static bool print_line(const char *principal, const char *token, FILE *out)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(token, strlen(token), sum, &len, EVP_sha256(), NULL) != 1)
        return false;
    MUST(len == 32);
    fprintf(out, "- {principal: %s, sha256: ", principal);
    for (unsigned i = 0; i < len; i++)
        fprintf(out, "%02x", sum[i]);
    fprintf(out, "}\n");
    return true;
}

int hash_token(const char *principal, FILE *in, FILE *out, FILE *err)
{
    char token[CONF_TOKEN_MAX + 2];
    if (!is_principal(principal)) {
        fprintf(err, "noria hash-token: a principal is 1 to 64 of A-Z a-z 0-9 _ . -\n");
        return PROC_EXIT_USAGE;
    }
    if (in != NULL)
        read_token(in, token);
    else if (!make_token(token))
        token[0] = '\0';
    const char *fault = fault_of(token);
    if (fault != NULL) {
        fprintf(err, "noria hash-token: %s\n", fault);
        return PROC_EXIT_FAILURE;
    }
    if (in == NULL)
        fprintf(out, "# the token, for the client; it is kept nowhere: %s\n", token);
    else if (weak(token))
        fprintf(err, "noria hash-token: warning: a token this short can be guessed from its sum; --new makes "
                     "a good one\n");
    return print_line(principal, token, out) ? 0 : PROC_EXIT_FAILURE;
}
