/* predict.c — see predict.h. */
#include "predict.h"

static double clamp01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

double predict_probability(double temperatura, double humedad)
{
    return 0.6 * clamp01((temperatura - 20) / 20) + 0.4 * clamp01((80 - humedad) / 80);
}
