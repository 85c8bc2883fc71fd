/* schema_file.h — a JSON Schema from a file, compiled: by a worker when it starts, by `noria check-config`. The one file of this library
 * with I/O.
 *
 *     chat.json: cannot be opened: No such file or directory
 *     chat.json:3:12: expected `,` or `}`                            line and column (in bytes) of what is no JSON
 *     chat.json:7:3: this member stands here twice
 *     chat.json: /properties/user/format: this keyword is not supported here
 */
#pragma once

#include "schema.h"

#define SCHEMA_FILE_MAX         (1u << 20) /* bytes of a file */
#define SCHEMA_FILE_VALUES_MAX  65536u     /* values in it */
#define SCHEMA_FILE_PROBLEM_MAX 1024       /* a path beyond 500 bytes is cut at its beginning */

/* ERR_OK and *out (schema_free() it); ERR_CONFIG and `problem`, one line without a line feed; ERR_MEMORY. Blocks on the disk. */
enum err_e schema_file_load(const char *path, struct schema **out, char problem[SCHEMA_FILE_PROBLEM_MAX]);
