/* report.c — see report.h. */
#include "report.h"

#include <stdarg.h>

bool report_open(struct report *report, const char *scenario, const char *csv_path)
{
    *report = (struct report){.scenario = scenario};
    if (csv_path == NULL)
        return true;
    report->csv = fopen(csv_path, "ae");
    if (report->csv == NULL)
        return false;
    setvbuf(report->csv, NULL, _IOLBF, 4096);
    if (ftell(report->csv) == 0)
        fprintf(report->csv, "scenario,case,metric,value,unit\n");
    return true;
}

bool report_close(struct report *report)
{
    if (report->csv != NULL)
        fclose(report->csv);
    report->csv = NULL;
    printf("%s: %u passed, %u failed\n", report->scenario, report->passed, report->failed);
    return report->failed == 0;
}

void report_value(struct report *report, const char *name, const char *metric, double value, const char *unit)
{
    char text[32];
    if (value >= 1000 || value == (double)(int64_t)value)
        snprintf(text, sizeof text, "%.0f", value);
    else
        snprintf(text, sizeof text, "%.3g", value);
    printf("  %-34s %-38s %14s %s\n", name, metric, text, unit);
    fflush(stdout);
    if (report->csv != NULL)
        fprintf(report->csv, "%s,%s,%s,%s,%s\n", report->scenario, name, metric, text, unit);
}

void report_check(struct report *report, bool ok, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (ok)
        report->passed++;
    else
        report->failed++;
    if (!ok)
        printf("  FAILED %s\n", text);
    fflush(stdout);
}
