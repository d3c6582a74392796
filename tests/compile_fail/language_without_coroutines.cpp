// expect: ILM needs the coroutines of C\+\+20
// flags: -U__cpp_impl_coroutine
#include <ilm/ilm.hpp>
