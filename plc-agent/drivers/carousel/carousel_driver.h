/* carousel_driver.h — the driver for carousel PLCs that speak the two-byte protocol over TCP (Hop: D1, C6). */
#pragma once

#include "driver.h"

extern const struct driver_ops carousel_driver;
