// What a machine without the package needs to run the agent: compiled in from where the package takes it.
#pragma once

#include <stddef.h>

struct postern_install_file {
    const unsigned char *bytes;
    size_t count;
};

// packaging/install.sh, with places for what the server fills in.
struct postern_install_file postern_install_script(void);
// systemd/postern-agent.service
struct postern_install_file postern_agent_unit(void);
// packaging/agent.yml
struct postern_install_file postern_agent_settings(void);
