/* SPDX-License-Identifier: Apache-2.0 */
/* What is read while a file is healed. */
#ifndef SQZI_HEALING_H
#define SQZI_HEALING_H

#include "compress/compressor.h"

enum { SQZI_HEALING_ALL = 1000 };

/* So many times these thousandths of rows and texts, chosen by chance. */
typedef struct sqzi_healing_plan {
    uint32_t epochs, thousandths;
} sqzi_healing_plan;

typedef struct sqzi_healing_data {
    sqz_batches *batches;
    uint32_t *rows;
    size_t n_rows;
} sqzi_healing_data;

/* At least a batch. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_healing_open(const sqzi_compressor *c, const sqzi_healing_plan *plan,
                                           sqzi_healing_data *data, sqz_error *error);
void sqzi_healing_close(const sqzi_compressor *c, sqzi_healing_data *data);

#endif
