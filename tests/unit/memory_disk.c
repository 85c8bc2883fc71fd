/* See memory_disk.h. */
#include "memory_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "must.h"

#define MEMORY_FILE_MAX (256u * 1024)
#define BLOCK           512

static uint64_t draw(struct memory_disk *disk)
{
    return disk->random = hash_u64(disk->random + 1);
}

static bool chance(struct memory_disk *disk)
{
    return (draw(disk) >> 32 & 1) != 0;
}

void memory_disk_init(struct memory_disk *disk, uint64_t seed)
{
    memset(disk, 0, sizeof *disk);
    disk->random = seed;
    strcpy(disk->boot, "boot-1");
    pthread_mutex_init(&disk->mutex, NULL);
    pthread_cond_init(&disk->moved, NULL);
}

static void file_free(struct memory_file *file)
{
    free(file->now);
    free(file->on_disk);
    free(file->dirty);
    *file = (struct memory_file){0};
}

void memory_disk_fini(struct memory_disk *disk)
{
    for (size_t i = 0; i < MEMORY_FILES; i++)
        file_free(&disk->files[i]);
    pthread_mutex_destroy(&disk->mutex);
    pthread_cond_destroy(&disk->moved);
}

static void clean(struct memory_file *file)
{
    if (file->low < file->high)
        memset(file->dirty + file->low, 0, file->high - file->low);
    file->low = MEMORY_FILE_MAX;
    file->high = 0;
}

struct memory_file *memory_disk_file(struct memory_disk *disk, const char *name)
{
    for (size_t i = 0; i < MEMORY_FILES; i++)
        if (disk->files[i].exists && strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    return NULL;
}

static struct memory_file *file_new(struct memory_disk *disk, const char *name)
{
    for (struct memory_file *file = disk->files; file < disk->files + MEMORY_FILES; file++) {
        if (file->exists || file->exists_on_disk)
            continue;
        file_free(file);
        snprintf(file->name, sizeof file->name, "%s", name);
        file->now = calloc(1, MEMORY_FILE_MAX);
        file->on_disk = calloc(1, MEMORY_FILE_MAX);
        file->dirty = calloc(1, MEMORY_FILE_MAX);
        MUST(file->now != NULL && file->on_disk != NULL && file->dirty != NULL);
        file->exists = true;
        return file;
    }
    MUST_NOT_REACH();
}

struct memory_file *memory_disk_put(struct memory_disk *disk, const char *name, const void *data, size_t len)
{
    struct memory_file *file = memory_disk_file(disk, name);
    if (file == NULL)
        file = file_new(disk, name);
    MUST(len <= MEMORY_FILE_MAX);
    memcpy(file->now, data, len);
    memcpy(file->on_disk, data, len);
    clean(file);
    file->len = file->len_on_disk = len;
    file->exists_on_disk = true;
    return file;
}

void memory_disk_set(struct memory_disk *disk, bool *which, bool to)
{
    pthread_mutex_lock(&disk->mutex);
    *which = to;
    pthread_cond_broadcast(&disk->moved);
    pthread_mutex_unlock(&disk->mutex);
}

/* --- operations -------------------------------------------------------------------------------------------------- */

/* 0, or why this operation fails. */
static int operate(struct memory_disk *disk)
{
    disk->operations++;
    if (disk->dies_at != 0 && disk->operations >= disk->dies_at)
        return -EIO;
    return disk->operations == disk->fails_at ? -disk->fails_with : 0;
}

static int take_handle(struct memory_disk *disk, struct memory_file *file)
{
    for (int i = 0; i < MEMORY_HANDLES; i++) {
        if (disk->handles[i].file != NULL)
            continue;
        disk->handles[i].file = file;
        disk->handles[i].at = 0;
        return i;
    }
    return -EMFILE; /* somebody forgets to close */
}

static int shelf_list(void *arg, journal_each_f *each, void *each_arg)
{
    struct memory_disk *disk = arg;
    for (size_t i = MEMORY_FILES; i-- > 0;) /* in no useful order */
        if (disk->files[i].exists)
            each(each_arg, disk->files[i].name, disk->files[i].len);
    return 0;
}

static int shelf_open(void *arg, const char *name)
{
    struct memory_disk *disk = arg;
    struct memory_file *file = memory_disk_file(disk, name);
    return file != NULL ? take_handle(disk, file) : -ENOENT;
}

static ssize_t shelf_read(void *arg, int handle, void *to, size_t len)
{
    struct memory_disk *disk = arg;
    const struct memory_file *file = disk->handles[handle].file;
    size_t left = file->len - disk->handles[handle].at;
    size_t some = left < len ? left : len;
    if (some > 1000)
        some = 1000; /* as a disk may */
    memcpy(to, file->now + disk->handles[handle].at, some);
    disk->handles[handle].at += some;
    return (ssize_t)some;
}

static void disk_close(void *arg, int handle)
{
    struct memory_disk *disk = arg;
    MUST(disk->handles[handle].file != NULL);
    disk->handles[handle].file = NULL;
}

static int disk_enter(void *arg, const char *directory)
{
    struct memory_disk *disk = arg;
    (void)directory;
    if (disk->held_by_other)
        return -EWOULDBLOCK;
    disk->locked = true;
    return 0;
}

static void disk_leave(void *arg)
{
    struct memory_disk *disk = arg;
    pthread_mutex_lock(&disk->mutex);
    disk->locked = false;
    pthread_mutex_unlock(&disk->mutex);
}

static void disk_boot(void *arg, char boot[JOURNAL_BOOT_MAX + 1])
{
    snprintf(boot, JOURNAL_BOOT_MAX + 1, "%s", ((struct memory_disk *)arg)->boot);
}

static int disk_create(void *arg, const char *name)
{
    struct memory_disk *disk = arg;
    int result = operate(disk);
    if (result != 0)
        return result;
    return memory_disk_file(disk, name) != NULL ? -EEXIST : take_handle(disk, file_new(disk, name));
}

static int disk_open(void *arg, const char *name, uint64_t bytes)
{
    struct memory_disk *disk = arg;
    int result = operate(disk);
    if (result != 0)
        return result;
    struct memory_file *file = memory_disk_file(disk, name);
    if (file == NULL)
        return -ENOENT;
    MUST(bytes <= file->len); /* the journal never makes holes itself */
    memset(file->dirty + bytes, 0, file->len - bytes);
    file->len = (size_t)bytes;
    return take_handle(disk, file);
}

static size_t used(const struct memory_disk *disk)
{
    size_t sum = 0;
    for (size_t i = 0; i < MEMORY_FILES; i++)
        sum += disk->files[i].exists ? disk->files[i].len : 0;
    return sum;
}

static ssize_t write_some(struct memory_disk *disk, struct memory_file *file, uint64_t at, const void *data,
                          size_t len)
{
    MUST(at <= file->len && at + len <= MEMORY_FILE_MAX);
    memcpy(file->now + at, data, len);
    memset(file->dirty + at, 1, len);
    file->low = at < file->low ? at : file->low;
    file->high = at + len > file->high ? at + len : file->high;
    if (file->len < at + len)
        file->len = at + len;
    (void)disk;
    return (ssize_t)len;
}

/* A write that fails may have been half done. */
static ssize_t disk_write(void *arg, int handle, uint64_t at, const void *data, size_t len)
{
    struct memory_disk *disk = arg;
    struct memory_file *file = disk->handles[handle].file;
    pthread_mutex_lock(&disk->mutex);
    ssize_t result = operate(disk);
    if (disk->fails_writing)
        result = -disk->fails_with;
    if (result != 0) {
        write_some(disk, file, at, data, draw(disk) % len);
    } else if (disk->room != 0 && at + len > file->len && used(disk) + (at + len - file->len) > disk->room) {
        size_t free_bytes = disk->room > used(disk) ? disk->room - used(disk) : 0;
        result = free_bytes > 0 ? write_some(disk, file, at, data, free_bytes) : -ENOSPC;
    } else {
        result = write_some(disk, file, at, data, chance(disk) ? len : 1 + draw(disk) % len);
    }
    pthread_mutex_unlock(&disk->mutex);
    return result;
}

static void put_on_disk(struct memory_file *file)
{
    for (size_t i = file->low; i < file->high && i < file->len; i++)
        if (file->dirty[i])
            file->on_disk[i] = file->now[i];
    if (file->len > file->len_on_disk)
        for (size_t i = file->len_on_disk; i < file->len; i++)
            file->on_disk[i] = file->dirty[i] ? file->now[i] : 0;
    file->len_on_disk = file->len;
}

static int disk_sync(void *arg, int handle)
{
    struct memory_disk *disk = arg;
    struct memory_file *file = disk->handles[handle].file;
    pthread_mutex_lock(&disk->mutex);
    disk->syncs++;
    disk->waiting++;
    pthread_cond_broadcast(&disk->moved);
    while (disk->hangs)
        pthread_cond_wait(&disk->moved, &disk->mutex);
    disk->waiting--;
    int result = operate(disk);
    if (disk->fails_syncing)
        result = -disk->fails_with;
    if (result == 0 && !disk->sync_does_nothing)
        put_on_disk(file);
    if (!disk->sync_does_nothing && (disk->dies_at == 0 || disk->operations < disk->dies_at))
        memset(file->dirty, 0,
               MEMORY_FILE_MAX); /* also when it failed: the kernel takes the pages for clean */
    pthread_mutex_unlock(&disk->mutex);
    return result;
}

static int disk_sync_directory(void *arg)
{
    struct memory_disk *disk = arg;
    int result = operate(disk);
    for (size_t i = 0; i < MEMORY_FILES && result == 0; i++)
        disk->files[i].exists_on_disk = disk->files[i].exists;
    return result;
}

static int disk_remove(void *arg, const char *name)
{
    struct memory_disk *disk = arg;
    int result = operate(disk);
    struct memory_file *file = memory_disk_file(disk, name);
    if (result != 0 || file == NULL)
        return result != 0 ? result : -ENOENT;
    file->exists = false;
    disk->removed++;
    return 0;
}

struct journal_disk memory_disk_ops(struct memory_disk *disk)
{
    return (struct journal_disk){
        .arg = disk,
        .shelf = {disk, shelf_list, shelf_open, shelf_read, disk_close},
        .enter = disk_enter,
        .leave = disk_leave,
        .boot = disk_boot,
        .create = disk_create,
        .open = disk_open,
        .write = disk_write,
        .sync = disk_sync,
        .sync_directory = disk_sync_directory,
        .remove = disk_remove,
        .close = disk_close,
    };
}

/* --- the power goes ---------------------------------------------------------------------------------------------- */

static void keep_prefix(struct memory_disk *disk, struct memory_file *file, bool garbage)
{
    size_t upto = file->len > 0 ? draw(disk) % (file->len + 1) : 0;
    for (size_t i = 0; i < upto; i++)
        if (file->dirty[i] || i >= file->len_on_disk)
            file->on_disk[i] = file->dirty[i] ? file->now[i] : 0;
    if (upto > file->len_on_disk)
        file->len_on_disk = upto;
    if (!garbage)
        return;
    for (; file->len_on_disk < file->len; file->len_on_disk++)
        file->on_disk[file->len_on_disk] = (unsigned char)draw(disk);
}

static void keep_blocks(struct memory_disk *disk, struct memory_file *file)
{
    for (size_t block = 0; block < file->len; block += BLOCK) {
        bool kept = chance(disk);
        for (size_t i = block; i < block + BLOCK && i < file->len; i++)
            if (kept && file->dirty[i])
                file->on_disk[i] = file->now[i];
            else if (i >= file->len_on_disk)
                file->on_disk[i] = 0;
    }
    if (file->len > file->len_on_disk)
        file->len_on_disk = file->len;
}

static void cut_file(struct memory_disk *disk, struct memory_file *file, enum cut_e mode)
{
    bool name_kept = mode == CUT_LOSE || chance(disk) ? file->exists_on_disk : file->exists;
    if (mode == CUT_PREFIX || mode == CUT_GARBAGE)
        keep_prefix(disk, file, mode == CUT_GARBAGE);
    else if (mode == CUT_HOLES)
        keep_blocks(disk, file);
    file->exists = file->exists_on_disk = name_kept;
    memcpy(file->now, file->on_disk, file->len_on_disk);
    file->len = file->len_on_disk;
    clean(file);
}

void memory_disk_power_cut(struct memory_disk *disk, enum cut_e mode)
{
    for (size_t i = 0; i < MEMORY_HANDLES; i++)
        disk->handles[i].file = NULL;
    disk->dies_at = disk->fails_at = disk->operations = 0;
    disk->locked = false;
    if (mode == CUT_KILL)
        return;
    for (struct memory_file *file = disk->files; file < disk->files + MEMORY_FILES; file++)
        if (file->exists || file->exists_on_disk)
            cut_file(disk, file, mode);
    snprintf(disk->boot, sizeof disk->boot, "boot-%u", (unsigned)draw(disk));
}
