/* SPDX-License-Identifier: Apache-2.0 */
/* A model that is open, with a session: what tests of runs begin with. Fails the test where one of
 * the three cannot be opened. */
#ifndef SQZT_OPENED_H
#define SQZT_OPENED_H

#include <squeezebert/session.h>

#include "support/tiny_model.h"

typedef struct sqzt_opened {
    sqz_context *context;
    sqz_model *model;
    sqz_session *session;
} sqzt_opened;

/* cpu NULL: every feature. */
sqzt_opened sqzt_open_file(const char *path, const char *cpu, uint32_t n_threads,
                           const sqz_session_options *room);
/* The same of a tiny model, which is written first. */
sqzt_opened sqzt_open_tiny(const sqzt_tiny *tiny, uint32_t n_threads,
                           const sqz_session_options *room);
void sqzt_close(sqzt_opened *opened);

#endif
