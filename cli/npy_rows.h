/* SPDX-License-Identifier: Apache-2.0 */
/* A NumPy array of 32-bit floats [rows, columns], written a row at a time. */
#ifndef CLI_NPY_ROWS_H
#define CLI_NPY_ROWS_H

#include "output.h"

/* Begin; true where `name` is a file. Rows wait in a file without a name, under $TMPDIR or /tmp,
 * where `name` is a device or a pipe: how many they are stands before them. Dies where either
 * cannot be made. */
bool cli_npy_open(const char *name, uint32_t columns);
/* NULL: a row of NaN. */
void cli_npy_put(const float *row);
/* What was put so far is written out; dies where there is no room. */
void cli_npy_flush(void);
/* Put the array in place. */
void cli_npy_close(void);

#endif
