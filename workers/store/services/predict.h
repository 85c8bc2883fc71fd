/* predict.h — the risk of a place, from the averages of temperature and humidity there: hot and dry is dangerous.
 *
 *     p = 0.6 · clamp01((T − 20) / 20) + 0.4 · clamp01((80 − H) / 80)         T in °C, H in % of relative humidity
 *
 * 0 at 20 °C or less and 80 % or more; 1 at 40 °C or more and 0 %. The same arguments give the same bits. Pure.
 */
#pragma once

double predict_probability(double temperatura, double humedad); /* 0 … 1, of finite arguments */
