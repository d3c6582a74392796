// expect: codec<T>::encode[(]value, out[)]' (is|would be) invalid
#include <ilm/codecs/bytes.hpp>
#include <ilm/message.hpp>

struct order {
  int price = 0;
};

int use(const ilm::message<int>& m) {
#ifdef ILM_CONTROL
  return m.as<int>();
#else
  return m.as<order>().price;
#endif
}
