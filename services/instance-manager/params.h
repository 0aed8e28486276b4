#ifndef PARAMS_H
#define PARAMS_H

#include "store/params.h"

#endif
