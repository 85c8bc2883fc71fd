/* metrics_page.h — `noria metrics-page`: every metric of every process with its meaning, as Markdown (deploy/METRICS.md; a test compares). */
#pragma once

#include <stdio.h>

void metrics_page(FILE *out);
