/* fault_vfs.c — see fault_vfs.h. Wraps "unix"; each file keeps what of it is certainly on the disk: its content at its last sync. */
#include "fault_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "must.h"

#define PATHS_MAX 16
#define BLOCK     512

struct content {
    unsigned char *at;
    size_t len;
};

struct shadow { /* of a path */
    char path[256];
    struct content synced;
    sqlite3_file *real; /* NULL: it is not open */
};

struct fault_file {
    sqlite3_file base;
    struct shadow *shadow; /* NULL: neither database nor log */
    sqlite3_file *real;
};

struct fault_vfs fault_vfs;
static sqlite3_vfs *unix_vfs, shim;
static struct shadow shadows[PATHS_MAX];

/* Not by what a test lets fail. */
static void *take(size_t len)
{
    void *at;
    MUST(posix_memalign(&at, 16, len + 1) == 0);
    return memset(at, 0, len + 1);
}

/* --- pictures ---------------------------------------------------------------------------------------------------------------- */

static struct content read_all(sqlite3_file *real)
{
    struct content content = {0};
    sqlite3_int64 size = 0;
    if (real == NULL || real->pMethods == NULL || real->pMethods->xFileSize(real, &size) != SQLITE_OK)
        return content;
    content.len = (size_t)size;
    content.at = take(content.len);
    if (content.len > 0)
        MUST(real->pMethods->xRead(real, content.at, (int)content.len, 0) == SQLITE_OK);
    return content;
}

/* Of a file that is not open: closing a descriptor of one that is would drop its locks. */
static struct content read_closed(const char *path)
{
    struct content content = {0};
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return content;
    MUST(fseek(file, 0, SEEK_END) == 0);
    content.len = (size_t)ftell(file);
    content.at = take(content.len);
    rewind(file);
    MUST(fread(content.at, 1, content.len, file) == content.len);
    fclose(file);
    return content;
}

static void mix(struct content *into, const struct content *newer)
{
    if (newer->len > into->len) {
        unsigned char *longer = take(newer->len);
        memcpy(longer, into->at, into->len);
        free(into->at);
        into->at = longer;
        into->len = newer->len;
    }
    for (size_t at = 0; at < newer->len; at += BLOCK) {
        size_t len = newer->len - at < BLOCK ? newer->len - at : BLOCK;
        fault_vfs.random = hash_u64(fault_vfs.random + 1);
        if (fault_vfs.random & 1)
            memcpy(into->at + at, newer->at + at, len);
    }
}

static void put_file(const char *path, const struct content *content)
{
    char name[512];
    const char *base = strrchr(path, '/');
    snprintf(name, sizeof name, "%s%s", fault_vfs.cut_dir, base);
    FILE *file = fopen(name, "w");
    MUST(file != NULL && (content->len == 0 || fwrite(content->at, 1, content->len, file) == content->len));
    fclose(file);
}

void fault_vfs_picture(void)
{
    fault_vfs.was_cut = true;
    for (int i = 0; i < PATHS_MAX; i++) {
        struct shadow *shadow = &shadows[i];
        if (shadow->path[0] == '\0' || (shadow->real == NULL && shadow->synced.at == NULL))
            continue;
        struct content now = shadow->real != NULL ? read_all(shadow->real) : read_closed(shadow->path),
                       then = {take(shadow->synced.len), shadow->synced.len};
        if (then.len > 0)
            memcpy(then.at, shadow->synced.at, then.len);
        if (fault_vfs.cut == CUT_MIX)
            mix(&then, &now);
        put_file(shadow->path, fault_vfs.cut == CUT_KILL ? &now : &then);
        free(now.at);
        free(then.at);
    }
}

/* --- operations -------------------------------------------------------------------------------------------------------------- */

/* Every operation passes here first. */
static int pass(bool changes)
{
    unsigned n = ++fault_vfs.operations;
    if (n == fault_vfs.cut_at)
        fault_vfs_picture();
    if (fault_vfs.fails_at == 0 || n < fault_vfs.fails_at || n >= fault_vfs.fails_at + fault_vfs.fails_for ||
        (fault_vfs.only_changes && !changes))
        return SQLITE_OK;
    fault_vfs.failed++;
    return fault_vfs.fails_with;
}

#define REAL(file)   (((struct fault_file *)(file))->real)
#define METHOD(file) (REAL(file)->pMethods)

static int on_close(sqlite3_file *file)
{
    struct fault_file *mine = (struct fault_file *)file;
    if (mine->shadow != NULL)
        mine->shadow->real = NULL;
    return METHOD(file)->xClose(REAL(file));
}

static int on_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    int code = pass(false);
    return code != SQLITE_OK ? SQLITE_IOERR_READ : METHOD(file)->xRead(REAL(file), data, len, at);
}

static int on_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int code = pass(true);
    if (code != SQLITE_OK && len > 1) /* half of it may be there */
        (void)METHOD(file)->xWrite(REAL(file), data, len / 2, at);
    return code != SQLITE_OK ? code : METHOD(file)->xWrite(REAL(file), data, len, at);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = pass(true);
    return code != SQLITE_OK ? code : METHOD(file)->xTruncate(REAL(file), size);
}

static int on_sync(sqlite3_file *file, int flags)
{
    struct fault_file *mine = (struct fault_file *)file;
    int code = pass(true);
    if (code != SQLITE_OK)
        return code == SQLITE_FULL ? SQLITE_IOERR_FSYNC : code;
    code = METHOD(file)->xSync(REAL(file), flags);
    if (code == SQLITE_OK && mine->shadow != NULL) {
        free(mine->shadow->synced.at);
        mine->shadow->synced = read_all(mine->real);
    }
    return code;
}

static int on_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return METHOD(file)->xFileSize(REAL(file), size);
}

static int on_lock(sqlite3_file *file, int kind)
{
    return METHOD(file)->xLock(REAL(file), kind);
}

static int on_unlock(sqlite3_file *file, int kind)
{
    return METHOD(file)->xUnlock(REAL(file), kind);
}

static int on_check(sqlite3_file *file, int *out)
{
    return METHOD(file)->xCheckReservedLock(REAL(file), out);
}

static int on_control(sqlite3_file *file, int op, void *arg)
{
    return METHOD(file)->xFileControl(REAL(file), op, arg);
}

static int on_sector(sqlite3_file *file)
{
    return METHOD(file)->xSectorSize(REAL(file));
}

static int on_device(sqlite3_file *file)
{
    return METHOD(file)->xDeviceCharacteristics(REAL(file));
}

static int on_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    int code = pass(false);
    return code != SQLITE_OK ? SQLITE_IOERR_SHMMAP
                             : METHOD(file)->xShmMap(REAL(file), page, size, extend, out);
}

static int on_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return METHOD(file)->xShmLock(REAL(file), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *file)
{
    METHOD(file)->xShmBarrier(REAL(file));
}

static int on_shm_unmap(sqlite3_file *file, int remove)
{
    return METHOD(file)->xShmUnmap(REAL(file), remove);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = on_close,
                                           .xRead = on_read,
                                           .xWrite = on_write,
                                           .xTruncate = on_truncate,
                                           .xSync = on_sync,
                                           .xFileSize = on_file_size,
                                           .xLock = on_lock,
                                           .xUnlock = on_unlock,
                                           .xCheckReservedLock = on_check,
                                           .xFileControl = on_control,
                                           .xSectorSize = on_sector,
                                           .xDeviceCharacteristics = on_device,
                                           .xShmMap = on_shm_map,
                                           .xShmLock = on_shm_lock,
                                           .xShmBarrier = on_shm_barrier,
                                           .xShmUnmap = on_shm_unmap};

/* --- files ------------------------------------------------------------------------------------------------------------------- */

static struct shadow *shadow_of(const char *path)
{
    for (int i = 0; i < PATHS_MAX; i++)
        if (strcmp(shadows[i].path, path) == 0 || shadows[i].path[0] == '\0') {
            snprintf(shadows[i].path, sizeof shadows[i].path, "%s", path);
            return &shadows[i];
        }
    MUST_NOT_REACH();
}

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct fault_file *mine = (struct fault_file *)file;
    (void)vfs;
    *mine = (struct fault_file){.real = (sqlite3_file *)(mine + 1)};
    int code = pass(false);
    code = code != SQLITE_OK ? SQLITE_CANTOPEN : unix_vfs->xOpen(unix_vfs, name, mine->real, flags, out);
    mine->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    if (code == SQLITE_OK && name != NULL && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0) {
        mine->shadow = shadow_of(name);
        mine->shadow->real = mine->real;
        if (mine->shadow->synced.at == NULL) /* what was there before is on the disk */
            mine->shadow->synced = read_all(mine->real);
    }
    return code;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    int code = pass(true);
    (void)vfs;
    if (code != SQLITE_OK)
        return SQLITE_IOERR_DELETE;
    code = unix_vfs->xDelete(unix_vfs, name, sync_dir);
    for (int i = 0; i < PATHS_MAX && code == SQLITE_OK; i++)
        if (strcmp(shadows[i].path, name) == 0) {
            free(shadows[i].synced.at);
            shadows[i].synced = (struct content){0};
        }
    return code;
}

void fault_vfs_install(void)
{
    unix_vfs = sqlite3_vfs_find(NULL);
    shim = *unix_vfs;
    shim.zName = "fault";
    shim.pNext = NULL;
    shim.szOsFile = (int)sizeof(struct fault_file) + unix_vfs->szOsFile;
    shim.xOpen = on_open;
    shim.xDelete = on_delete;
    MUST(sqlite3_vfs_register(&shim, 1) == SQLITE_OK);
}

void fault_vfs_reset(void)
{
    fault_vfs = (struct fault_vfs){.random = fault_vfs.random};
    for (int i = 0; i < PATHS_MAX; i++)
        if (shadows[i].real == NULL) {
            free(shadows[i].synced.at);
            shadows[i] = (struct shadow){0};
        }
}
