// The parts of a Kubernetes cluster that need no machine of their own, and those of Argo CD that deploy, in one program that is named by its first
// argument: linked once, they share what they are compiled from.
package main

import (
	"fmt"
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: kubernetes apiserver|controller-manager|scheduler|kwok|argocd-application-controller|argocd-repo-server FLAGS")
		os.Exit(2)
	}
	part := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	os.Exit(cli.Run(commandOf(part)))
}

func commandOf(part string) *cobra.Command {
	switch part {
	case "apiserver":
		return apiserver.NewAPIServerCommand()
	case "controller-manager":
		return manager.NewControllerManagerCommand()
	case "scheduler":
		return scheduler.NewSchedulerCommand()
	case "kwok":
		return kwokCommand()
	case "argocd-application-controller":
		return controller.NewCommand()
	case "argocd-repo-server":
		return reposerver.NewCommand()
	}
	fmt.Fprintf(os.Stderr, "there is no part %q\n", part)
	os.Exit(2)
	return nil
}
