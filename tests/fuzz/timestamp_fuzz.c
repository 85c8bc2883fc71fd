/* Fuzzes times as clients write them. Checked beside memory: what is taken is within Noria's years, and shown by clock_iso8601() it reads back
 * the same; a fault has a text; the other times, those of numbers, agree with their texts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "must.h"
#include "timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(uint64_t ms)
{
    char iso[CLOCK_ISO_LEN + 1];
    uint64_t back = 0;
    MUST(ms <= 253402300799999);
    clock_iso8601(ms, iso);
    MUST(timestamp_parse(iso, CLOCK_ISO_LEN, &back) == TIMESTAMP_OK && back == ms);
}

static void check_number(int64_t number)
{
    char text[32];
    uint64_t ms = 0, same = 0;
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    enum timestamp_e fault = timestamp_from_whole(number, &ms);
    if (fault == TIMESTAMP_OK)
        MUST(timestamp_parse(text, (size_t)len, &same) == TIMESTAMP_OK && same == ms);
    if (fault == TIMESTAMP_OK)
        check_shown(ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t number = 0;
    uint64_t ms = 0;
    char *text = malloc(size > 0 ? size : 1); /* exactly as long, so that ASan sees a step beyond its end */
    MUST(text != NULL);
    memcpy(text, data, size);
    enum timestamp_e fault = timestamp_parse(text, size, &ms);
    if (fault == TIMESTAMP_OK)
        check_shown(ms);
    else
        MUST(ms == 0 && strlen(timestamp_text(fault)) > 0);
    memcpy(&number, data, size < sizeof number ? size : sizeof number);
    check_number(number);
    free(text);
    return 0;
}
