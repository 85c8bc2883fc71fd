/* look_conf.h — the configuration for whoever looks at a running installation, or tells it something.
 *
 * Normally that is FILE. If it is broken, because somebody is just editing it, and `noria up` runs where it says (its line `runtime_dir:`, the
 * environment, or --runtime-dir), the configuration in force there is taken, and said so: who has just broken the file needs `noria status` most.
 */
#pragma once

#include <stdio.h>

#include "conf.h"
#include "errcode.h"

/* `runtime_dir` (NULL: none) is put into the environment, as --runtime-dir always is. `err`: what is wrong, or what was taken instead. ERR_CONFIG. */
enum err_e look_conf_load(const char *file, const char *runtime_dir, FILE *err, struct conf **conf);
