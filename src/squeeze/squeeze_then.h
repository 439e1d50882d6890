/* SPDX-License-Identifier: Apache-2.0 */
/* Squeezing as the first of several steps to one file: what the last of them will say of it is in
 * the first one's file too, so that all have as many bytes. */
#ifndef SQZI_SQUEEZE_THEN_H
#define SQZI_SQUEEZE_THEN_H

#include <squeezebert/squeeze.h>

#include "rewrite/rewrite.h"

/* history: put behind the line of sqz.history. cache: in the place of one that the options lack;
 * NULL, and where nothing is read: none. measured: keys in the place of fidelity's, whose
 * numbers are 0; nothing is measured. unmet: set where it fails since a budget or a time cannot be
 * met. */
typedef struct sqzi_squeeze_then {
    const char *history, *cache;
    const sqzi_measured *measured;
    bool *unmet;
} sqzi_squeeze_then;

/* ---- squeeze.c ---- */

/* sqz_squeeze with that; NULL: without. */
SQZ_NODISCARD sqz_status sqzi_squeeze_for(sqz_context *context, const char *path, const char *out,
                                          const sqz_squeeze_options *options,
                                          const sqzi_squeeze_then *then, sqz_error *error);
/* Where it would fail since no file is so small, before anything is measured: SQZ_EINVAL,
 * error->offset and then->unmet as there. then NULL: of a model that gets another head and other
 * metadata first, tables and blocks alone are counted, texts are not looked at. Without a budget
 * nothing. Cost: the weights as f32, texts cut into pieces. Other errors as sqz_squeeze. */
SQZ_NODISCARD sqz_status sqzi_squeeze_check_budget(sqz_context *context, const char *path,
                                                   const sqz_squeeze_options *options,
                                                   const sqzi_squeeze_then *then, sqz_error *error);

#endif
