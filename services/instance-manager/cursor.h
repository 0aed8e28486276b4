#ifndef CURSOR_H
#define CURSOR_H

#include "store/cursor.h"

#endif
