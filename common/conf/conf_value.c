/* conf_value.c — see conf_value.h. */
#include "conf_value.h"

#include <stdio.h>
#include <string.h>

#include "conf_raw.h"
#include "must.h"

static const char NOT_TOLD[] = "…";

/* --- lists of words --------------------------------------------------------------------------------------------- */

struct conf_words conf_words_of(const struct conf_key *key, const void *target)
{
    struct conf_words list = {0};
    const char *place = (const char *)target + key->at;
    if (key->element == &conf_granted_key) {
        const struct conf_grant *grant = (const void *)place;
        return (struct conf_words){grant->names, grant->count, grant->all};
    }
    memcpy(&list.words, place, sizeof list.words);
    memcpy(&list.count, (const char *)target + key->count_at, sizeof list.count);
    list.all = list.count == 0 && key->element == &conf_bridge_machine_key;
    return list;
}

static bool words_same(const struct conf_words *a, const struct conf_words *b)
{
    if (a->all || b->all)
        return a->all == b->all;
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->words[i], b->words[i]) != 0)
            return false;
    return true;
}

static void words_text(const struct conf_words *list, char out[CONF_VALUE_MAX])
{
    size_t len = (size_t)snprintf(out, CONF_VALUE_MAX, "%s", list->all ? "all of them" : "[");
    for (size_t i = 0; i < list->count && !list->all && len < CONF_VALUE_MAX; i++)
        len += (size_t)snprintf(out + len, CONF_VALUE_MAX - len, "%s%s", i > 0 ? ", " : "", list->words[i]);
    if (!list->all && len < CONF_VALUE_MAX)
        len += (size_t)snprintf(out + len, CONF_VALUE_MAX - len, "]");
    if (len >= CONF_VALUE_MAX)
        memcpy(out, NOT_TOLD, sizeof NOT_TOLD);
}

/* --- single values ---------------------------------------------------------------------------------------------- */

static const char *pointed(const char *place)
{
    const char *text;
    memcpy(&text, place, sizeof text);
    return text != NULL ? text : "";
}

bool conf_value_same(const struct conf_key *key, const void *a, const void *b)
{
    const char *here = (const char *)a + key->at, *there = (const char *)b + key->at;
    if (key->type == CONF_STRINGS) {
        struct conf_words mine = conf_words_of(key, a), others = conf_words_of(key, b);
        return words_same(&mine, &others);
    }
    switch (key->store) {
    case CONF_STORE_CHARS:
        return strcmp(here, there) == 0;
    case CONF_STORE_POINTER:
        return strcmp(pointed(here), pointed(there)) == 0;
    case CONF_STORE_NUMBER:
    case CONF_STORE_BYTES:
        return memcmp(here, there, key->size) == 0;
    }
    MUST_NOT_REACH();
}

static uint64_t number_of(const struct conf_key *key, const char *place)
{
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    MUST(key->size == 1 || key->size == 2 || key->size == 4);
    memcpy(key->size == 1 ? (void *)&u8 : key->size == 2 ? (void *)&u16 : (void *)&u32, place, key->size);
    return (uint64_t)u8 + u16 + u32;
}

static void choice_text(const char *form, uint64_t index, char out[CONF_VALUE_MAX])
{
    for (; index > 0; index--)
        form += strcspn(form, "|") + 1;
    snprintf(out, CONF_VALUE_MAX, "%.*s", (int)strcspn(form, "|"), form);
}

static void number_text(const struct conf_key *key, const char *place, char out[CONF_VALUE_MAX])
{
    uint64_t value = number_of(key, place);
    if (key->type == CONF_BOOL)
        snprintf(out, CONF_VALUE_MAX, "%s", value != 0 ? "true" : "false");
    else if (key->type == CONF_CHOICE)
        choice_text(key->form, value, out);
    else
        snprintf(out, CONF_VALUE_MAX, "%llu",
                 (unsigned long long)(key->type == CONF_KIB ? value / 1024 : value));
}

static void text_text(const char *text, char out[CONF_VALUE_MAX])
{
    bool fits = strlen(text) < CONF_VALUE_MAX;
    snprintf(out, CONF_VALUE_MAX, "%s", *text == '\0' ? "\"\"" : fits ? text : NOT_TOLD);
}

void conf_value_text(const struct conf_key *key, const void *target, char out[CONF_VALUE_MAX])
{
    const char *place = (const char *)target + key->at;
    struct conf_words words;
    if (key->type == CONF_STRINGS) {
        words = conf_words_of(key, target);
        words_text(&words, out);
    } else if (key->type == CONF_SECRET || key->store == CONF_STORE_BYTES) {
        snprintf(out, CONF_VALUE_MAX, "%s", NOT_TOLD);
    } else if (key->store == CONF_STORE_NUMBER) {
        number_text(key, place, out);
    } else {
        text_text(key->store == CONF_STORE_CHARS ? place : pointed(place), out);
    }
}
