/* SPDX-License-Identifier: Apache-2.0 */
#include "squeeze/load_library.h"

#include <dlfcn.h>
#include <string.h>

#include "base/error.h"

static sqz_status refuse(const char *name, const char *packages, sqz_error *error)
{
    const char *said = dlerror();
    return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                     "this step of squeezing needs the shared library %s, which cannot be loaded "
                     "(%s): install %s",
                     name, said ? said : "no reason given", packages);
}

sqz_status sqzi_load_library(const char *name, const char *packages,
                             const sqzi_loaded_function *functions, size_t n, sqz_error *error)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) return refuse(name, packages, error);
    for (size_t i = 0; i < n; i++) {
        void *found = dlsym(library, functions[i].symbol);
        if (!found) return refuse(name, packages, error);
        /* POSIX makes the two kinds of pointers alike, C has no conversion. */
        memcpy(functions[i].pointer, &found, sizeof found);
    }
    return SQZ_OK;
}
