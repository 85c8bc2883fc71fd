/* rig_conf.h — the configuration file of a rig. Inside of rig.h. */
#pragma once

#include "rig.h"

enum err_e rig_conf_write(const struct rig *rig); /* to rig->conf */

/* First of `count` consecutive TCP ports of 127.0.0.1 below the ephemeral range that nobody listens on; 0: none found. */
uint16_t rig_conf_free_ports(uint32_t count);
