#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/runtime/names.hpp>

#include <memory>
#include <string>

namespace test {

/// A table of names without a messenger.
using name_table = ilm::runtime::name_table<std::string>;

/// A peer that the store has. The engine's state of it only has to be there.
inline std::shared_ptr<const ilm::runtime::peer_name> met(name_table& names,
                                                          const std::string& id) {
  static char state = 0;
  ilm::runtime::peer_name& name = names.add(id);
  name.in_store = true;
  name.state = reinterpret_cast<ilm::runtime::peer*>(&state);
  return name.shared_from_this();
}

}  // namespace test
