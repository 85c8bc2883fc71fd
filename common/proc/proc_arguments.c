/* See proc_arguments() in proc.h. */
#include "proc.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

const char *proc_arguments(int argc, char **argv, const char *program, const char *usage)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {0}};
    const char *file = NULL;
    bool good = true;
    for (int option; (option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
        if (option == 'c') {
            file = optarg;
        } else if (option == 'h') {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        } else if (option == 'V') {
            printf("%s " NORIA_VERSION "\n", program);
            exit(EXIT_SUCCESS);
        } else {
            good = false;
        }
    }
    if (good && file != NULL && optind == argc)
        return file;
    fputs(usage, stderr);
    exit(PROC_EXIT_USAGE);
}
