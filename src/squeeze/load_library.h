/* SPDX-License-Identifier: Apache-2.0 */
/* A shared library that is loaded when it is first needed, so that programs which never come here
 * do not pay for its start. */
#ifndef SQZI_LOAD_LIBRARY_H
#define SQZI_LOAD_LIBRARY_H

#include <squeezebert/status.h>
#include <stddef.h>

/* A function by its symbol, and the pointer, of the function's own type, that shall hold it. */
typedef struct sqzi_loaded_function {
    const char *symbol;
    void *pointer;
} sqzi_loaded_function;

/* Loads the library `name` from where the system's loader looks, by itself (its symbols are nobody
 * else's), and finds n functions in it. It stays for the rest of the process; loading it again
 * costs nothing. SQZ_EUNSUPPORTED where there is no such library or it lacks a function, with what
 * the loader said and the packages to install; pointers are then undefined. Any thread may call;
 * the pointers are the caller's to guard. */
SQZ_NODISCARD sqz_status sqzi_load_library(const char *name, const char *packages,
                                           const sqzi_loaded_function *functions, size_t n,
                                           sqz_error *error);

#endif
