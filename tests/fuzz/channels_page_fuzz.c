/* Fuzzes the store's page of events, and rows of a survey. Checked beside memory: events stand one behind the other inside the page, each an
 * object that ends with its seq; a page has an end or is malformed; what the reader of rows takes, the writer makes again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channels_answer.h"
#include "channels_page.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_page(const char *text, size_t size)
{
    struct channels_page page = channels_page_init(text, size);
    struct channels_event event;
    const char *at = text;
    while (channels_page_next(&page, &event)) {
        MUST(event.text > at && event.text + event.len <= text + size);
        MUST(event.text[0] == '{' && event.text[event.len - 1] == '}');
        MUST(event.seq > event.text && event.seq + event.seq_len + 2 == event.text + event.len);
        MUST(memchr(event.seq, '"', event.seq_len) == NULL);
        at = event.text + event.len - 1;
    }
    MUST(page.malformed || page.end);
    MUST(!channels_page_next(&page, &event));
}

static void check_rows(const char *rows, size_t size)
{
    struct channels_answer answer = {0};
    char *memory = malloc(1u << 20);
    MUST(memory != NULL);
    channels_answer_add(&answer, rows, size);
    channels_answer_sort(&answer);
    if (answer.err == ERR_OK) {
        struct out out = out_init(memory, 1u << 20);
        channels_answer_all(&answer, &out);
        MUST(out.overflow || (out.len > 2 && out.at[out.len - 1] == '}'));
        out = out_init(memory, 1u << 20);
        channels_answer_one(&answer, "general", 7, &out);
    }
    channels_answer_clear(&answer);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size > 0 ? size : 1); /* so that ASan sees a step beyond its end */
    MUST(exact != NULL && size < 65536);
    memcpy(exact, data, size);
    check_page(exact, size);
    check_rows(exact, size);
    free(exact);
    return 0;
}
