/* journal_scan.h — between journal_chain.c and journal_scan.c: one object in two files, by subject. */
#pragma once

#include "journal_chain.h"

bool journal_chain_fail(struct journal_chain *chain, const char *what, uint32_t number,
                        int error); /* false */
uint32_t
journal_chain_number(const struct journal_chain *chain); /* of the newest segment; 0: there is none */
/* Adds a line to `lines`, where there is room; the head moves on. */
void journal_chain_line(struct journal_chain *chain, const struct journal_record *record);
/* Adds the SEGMENT line of a file that is empty and whose first record is `first`. */
void journal_chain_begin(struct journal_chain *chain, const struct journal_record *first);
