/* Hop: R4. See channels_page.h. */
#include "channels_page.h"

#include <string.h>

#define SEQ_BEGIN ",\"seq\":\""
#define SEQ_END   "\"}"

struct channels_page channels_page_init(const char *body, size_t len)
{
    return (struct channels_page){.at = body, .left = len, .first = true};
}

static void skip(struct channels_page *page, size_t len)
{
    page->at += len;
    page->left -= len;
}

static bool take(struct channels_page *page, char c)
{
    if (page->left == 0 || *page->at != c)
        return false;
    skip(page, 1);
    return true;
}

/* Bytes of the string that begins at text[0], a quote; 0: it has no end. */
static size_t string_len(const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (text[i] == '"')
            return i + 1;
        if (text[i] == '\\')
            i++;
    }
    return 0;
}

/* Bytes of the object that begins at text[0]; 0: there is none, or it has no end. */
static size_t object_len(const char *text, size_t len)
{
    size_t depth = 0;
    for (size_t i = 0; i < len;) {
        size_t step = text[i] == '"' ? string_len(text + i, len - i) : 1;
        if (step == 0 || (i == 0 && text[0] != '{'))
            return 0;
        depth += text[i] == '{' || text[i] == '[';
        depth -= text[i] == '}' || text[i] == ']';
        i += step;
        if (depth == 0)
            return i;
    }
    return 0;
}

/* The last member, as all who write frames write it. */
static bool find_seq(struct channels_event *event)
{
    size_t begin = sizeof SEQ_BEGIN - 1, end = sizeof SEQ_END - 1;
    if (event->len < begin + end || memcmp(event->text + event->len - end, SEQ_END, end) != 0)
        return false;
    const char *last = event->text + event->len - end, *at = last;
    while (at > event->text && at[-1] != '"')
        at--;
    if ((size_t)(at - event->text) < begin || memcmp(at - begin, SEQ_BEGIN, begin) != 0)
        return false;
    event->seq = at;
    event->seq_len = (size_t)(last - at);
    return true;
}

static bool take_event(struct channels_page *page, struct channels_event *event)
{
    *event = (struct channels_event){.text = page->at, .len = object_len(page->at, page->left)};
    if (event->len == 0 || !find_seq(event))
        return false;
    skip(page, event->len);
    return true;
}

bool channels_page_next(struct channels_page *page, struct channels_event *event)
{
    bool first = page->first;
    if (page->end || page->malformed)
        return false;
    page->first = false;
    page->malformed = first && !take(page, '[');
    if (!page->malformed && take(page, ']')) {
        page->end = true;
        page->malformed = page->left > 0;
        return false;
    }
    if (!first && !page->malformed)
        page->malformed = !take(page, ',');
    if (!page->malformed)
        page->malformed = !take_event(page, event);
    return !page->malformed;
}
