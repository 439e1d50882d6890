/* SPDX-License-Identifier: Apache-2.0 */
/* What a build found, for people and as JSON. */
#ifndef CLI_BUILD_REPORT_H
#define CLI_BUILD_REPORT_H

#include <squeezebert/build.h>
#include <stdbool.h>

/* Names of files, as they were given or chosen. */
typedef struct cli_built {
    const char *base, *out, *card, *predictions;
    const sqz_dataset *dataset;
    const sqz_build_result *result;
} cli_built;

/* False: what was squeezed does not hold the score that was wanted. */
bool cli_was_built(const cli_built *built);
void cli_built_show(const cli_built *built);
void cli_built_show_json(const cli_built *built);

#endif
