/* Fuzzes a line of the journal. First byte: odd, and the line is given the hash that it needs, so that the check of its form
 * is all that stands in its way. Whatever is read is written again: the same bytes. Then one byte is altered, which must not
 * pass. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "journal_record.h"
#include "must.h"

#define TAIL (9 + 64 + 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(char *line, size_t len)
{
    uint8_t text[JOURNAL_HASH + JOURNAL_LINE_MAX] = {0}, hash[JOURNAL_HASH];
    memcpy(text + JOURNAL_HASH, line, len - TAIL);
    MUST(EVP_Digest(text, JOURNAL_HASH + len - TAIL, hash, NULL, EVP_sha256(), NULL) == 1);
    memcpy(line + len - TAIL, ",\"hash\":\"", 9);
    for (size_t i = 0; i < JOURNAL_HASH; i++) {
        line[len - TAIL + 9 + 2 * i] = "0123456789abcdef"[hash[i] >> 4];
        line[len - TAIL + 10 + 2 * i] = "0123456789abcdef"[hash[i] & 15];
    }
    memcpy(line + len - 2, "\"}", 2);
}

static void check_written(const char *line, size_t len, const struct journal_record *record)
{
    char again[JOURNAL_LINE_MAX];
    uint8_t hash[JOURNAL_HASH] = {0};
    struct out out = out_init(again, sizeof again);
    journal_record_write(record, hash, &out);
    MUST(!out.overflow && out.len == len + 1 && memcmp(again, line, len) == 0);
}

static void check_altered(char *line, size_t len, unsigned seed)
{
    uint8_t hash[JOURNAL_HASH] = {0};
    struct journal_record record;
    line[(seed * 7919u) % len] ^= (char)(1u << seed % 8);
    MUST(journal_record_read(line, len, hash, &record) != ERR_OK);
    MUST(hash[0] == 0 && hash[JOURNAL_HASH - 1] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t hash[JOURNAL_HASH] = {0};
    struct journal_record record;
    if (size < 1)
        return 0;
    size_t len = size - 1;
    char *line = malloc(len + 1);
    MUST(line != NULL);
    memcpy(line, data + 1, len);
    if ((data[0] & 1) != 0 && len > TAIL && len < JOURNAL_LINE_MAX)
        seal(line, len);
    enum err_e err = journal_record_read(line, len, hash, &record);
    MUST(err == ERR_OK || err == ERR_CORRUPT || err == ERR_MALFORMED);
    MUST((err == ERR_MALFORMED) == (record.event == JOURNAL_NONE));
    if (err == ERR_OK) {
        check_written(line, len, &record);
        check_altered(line, len, data[0]);
    }
    free(line);
    return 0;
}
