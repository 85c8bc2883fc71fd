/* ops_internal.h — between ops.c (requests, waiters, documents) and ops_scrape.c (how a document is made). */
#pragma once

#include <dirent.h>
#include <limits.h>

#include "exposition.h"
#include "list.h"
#include "ops.h"

enum scrape_phase_e { SCRAPE_IDLE, SCRAPE_READING, SCRAPE_JOINING };

struct scrape {
    enum scrape_phase_e phase;
    const char *shm_dir;
    uint64_t began_ns;
    DIR *dir;
    struct exposition *exposition;
    char *bytes;
    struct out out; /* over `bytes` */
};

struct document {
    struct http_held held;
    char *bytes; /* NULL: none */
    size_t len;
    uint64_t made_ns, used_ns;
};

struct waiter {
    struct list_node link;
    struct ops *ops;
    struct http_exchange *exchange;
};

struct ops {
    struct ops_config config;
    struct http_api apis[OPS_APIS];
    struct document documents[OPS_DOCUMENTS];
    struct document *newest; /* NULL: none */
    struct list_node waiters;
    unsigned waiting;
    struct scrape scrape;
    struct ops_counts counts;
};

/* ERR_NOT_FOUND: there is no shm/; ERR_MEMORY. */
enum err_e scrape_begin(struct scrape *scrape, const char *shm_dir, uint64_t now_ns);
/* A step of a few µs. ERR_BUSY: there are more; ERR_OK: the document is whole (scrape->bytes, out.len), and the caller's. */
enum err_e scrape_step(struct scrape *scrape, uint64_t now_ns);
void scrape_end(struct scrape *scrape);
