#pragma once

// The library is header-only. A program may instead link the target `ilm::compiled`, which defines
// ILM_COMPILED and brings the plain classes as a static library: then headers only declare what the
// library defines. Every translation unit of a program has to make the same choice.

#ifdef ILM_COMPILED
#define ILM_INLINE
#else
#define ILM_INLINE inline
#endif
