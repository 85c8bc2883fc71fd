/* journal_numbers.h — which record of a chain an append() became: TOLD speaks of a chain's n, its writer of append's numbers,
 * which run over both chains (Hop: R1). Remembers the last JOURNAL_NUMBERS of a chain; pure. */
#pragma once

#include <stdint.h>

#define JOURNAL_NUMBERS 1024

struct journal_numbers {
    uint64_t first, next; /* n of the oldest that is known, and of the next */
    uint64_t told;        /* the last answer */
    uint64_t replayed;    /* n of the last record that was there before the first append() */
    uint64_t appended[JOURNAL_NUMBERS];
};

/* The chain has `n` records now. What is known of their numbers is forgotten, except what was replayed. */
void journal_numbers_reset(struct journal_numbers *numbers, uint64_t n);
uint64_t journal_numbers_add(struct journal_numbers *numbers, uint64_t appended); /* its n */
/* The last n that is not beyond the append() of that number (0: that was replayed); where that is too long ago to know, the last answer again:
 * to be told too often does no harm. */
uint64_t journal_numbers_find(struct journal_numbers *numbers, uint64_t appended);
