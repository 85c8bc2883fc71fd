/* lvt_reader.h — reading the last-value table (start of a worker, lapped worker, tools). See common/shm/SHM.md. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"
#include "lvt_layout.h"

struct lvt_reader;

enum lvt_status_e {
    LVT_OK,
    LVT_EMPTY,
    LVT_BUSY,    /* the writer kept writing, or died while writing: ask again later */
    LVT_CORRUPT, /* the slot failed its check */
    LVT_GONE     /* the table was retired (another ring or capacity), or cut: close, open again by name */
};

/* ERR_NOT_FOUND (also for a retired table whose successor has not taken its name yet), ERR_SYSTEM, ERR_MEMORY,
 * ERR_VERSION, ERR_MALFORMED. */
enum err_e lvt_reader_open(const char *path, struct lvt_reader **reader);
void lvt_reader_close(struct lvt_reader **reader);

uint32_t lvt_reader_ring_id(const struct lvt_reader *reader);
uint32_t lvt_reader_capacity(const struct lvt_reader *reader);
/* Slots at and above this number were never used. */
uint32_t lvt_reader_used(const struct lvt_reader *reader);
/* The ring position up to which every state stands in its slot. Who seeds from the table and then reads the ring begins there, not at the
 * head; look at it before the slots. False: damaged just now. */
bool lvt_reader_settled(const struct lvt_reader *reader, uint64_t *position);
enum lvt_status_e lvt_reader_get(const struct lvt_reader *reader, uint32_t slot, struct lvt_machine *machine);
