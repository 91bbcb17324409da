#include "CInstallFiles.h"

// #embed is C23; clang takes it in C17 as well.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char script[] = {
#embed "../../packaging/install.sh"
};
static const unsigned char unit[] = {
#embed "../../systemd/postern-agent.service"
};
static const unsigned char settings[] = {
#embed "../../packaging/agent.yml"
};

struct postern_install_file postern_install_script(void) {
    return (struct postern_install_file){script, sizeof script};
}

struct postern_install_file postern_agent_unit(void) { return (struct postern_install_file){unit, sizeof unit}; }

struct postern_install_file postern_agent_settings(void) {
    return (struct postern_install_file){settings, sizeof settings};
}
