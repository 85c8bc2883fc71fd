/* conf_own.c — memory of a configuration: taken piece by piece while it is read, freed at once (conf_load.h). */
#include "conf_load.h"

#include <stdlib.h>
#include <string.h>

struct conf_block {
    struct conf_block *next;
    _Alignas(16) char data[];
};

void *conf_own(struct conf_owner *owner, size_t bytes)
{
    struct conf_block *block = calloc(1, sizeof *block + bytes);
    if (block == NULL)
        return NULL;
    block->next = owner->blocks;
    owner->blocks = block;
    return block->data;
}

char *conf_own_text(struct conf_owner *owner, const char *text)
{
    size_t len = strlen(text) + 1;
    char *own = conf_own(owner, len);
    if (own != NULL)
        memcpy(own, text, len);
    return own;
}

char *conf_own_beside(struct conf_owner *owner, const char *directory, size_t len, const char *name)
{
    size_t size = strlen(name) + 1, before = *name != '/' ? len : 0;
    char *path = conf_own(owner, before + size);
    if (path != NULL) {
        memcpy(path, directory, before);
        memcpy(path + before, name, size);
    }
    return path;
}

void conf_free(struct conf **conf)
{
    if (*conf == NULL)
        return;
    struct conf_owner *owner = (struct conf_owner *)(void *)*conf; /* draft.conf is its first member */
    conf_raw_free(&owner->raw);
    for (struct conf_block *block = owner->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(owner);
    *conf = NULL;
}
